// The block cipher, the sealing and the hash that the first packets of QUIC are protected by: plain functions over
// memory of the caller's, which neither allocate nor fail.
#include <nettle/aes.h>
#include <nettle/gcm.h>
#include <nettle/hmac.h>
#include <nettle/memops.h>
