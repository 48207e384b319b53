// The Linux system calls and socket options that Swift's Glibc overlay does not import.
#ifndef TRAMMEL_LINUX_H
#define TRAMMEL_LINUX_H

#include <stdint.h>

// setns(2) with CLONE_NEWNET: moves the calling thread, and it alone, into the network namespace `fd`.
// Returns 0, or the errno.
int trammel_enter_netns(int fd);

#endif
