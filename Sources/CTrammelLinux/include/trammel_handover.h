// What passes from one process to another: open descriptors, and the place of the process itself.
#ifndef TRAMMEL_HANDOVER_H
#define TRAMMEL_HANDOVER_H

#include <stddef.h>
#include <sys/types.h>

// The most descriptors that the kernel passes with one message (SCM_MAX_FD of net/scm.h).
#define TRAMMEL_MOST_DESCRIPTORS 253

// sendmsg(2) of one message over the Unix socket `fd`, with `count` open descriptors beside its bytes (SCM_RIGHTS of
// unix(7)). `address` is a `struct sockaddr` of `address_length` bytes, or NULL for a socket that is connected. Waits for
// room. Returns 0, or the errno.
int trammel_send_descriptors(
    int fd, const void *bytes, size_t length, const int *descriptors, size_t count, const void *address,
    unsigned address_length);

// recvmsg(2) of one message and the descriptors beside it, closed on exec. `*count` is the room in `descriptors` and
// becomes their number. Waits for a message, as long as the socket's SO_RCVTIMEO says. Returns the number of bytes, 0 at
// the end, or the negated errno: EMSGSIZE for a message that there was not enough room for.
ssize_t trammel_receive_descriptors(int fd, void *buffer, size_t length, int *descriptors, size_t *count);

// A file in memory that holds the bytes, closed on exec and sealed (F_SEAL_WRITE and the others of fcntl(2)), so that
// whoever it is passed to can rely on them. Returns it, or the negated errno.
int trammel_sealed_file(const char *name, const void *bytes, size_t length);

// Starts a program in the place of this process: nobody's child but the reaper's (init, a service manager), with its
// standard streams, in the namespaces of the calling thread and with no other descriptor than `kept`, which is its
// third. Returns 0 and its number in `pid`, or the errno.
int trammel_start_apart(
    const char *path, char *const *arguments, char *const *environment, int kept, pid_t *pid);

#endif
