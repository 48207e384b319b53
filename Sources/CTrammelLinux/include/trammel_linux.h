// The Linux system calls and socket options that Swift's Glibc overlay does not import.
#ifndef TRAMMEL_LINUX_H
#define TRAMMEL_LINUX_H

#include <stdint.h>
#include <sys/types.h>

// setns(2) with CLONE_NEWNET: moves the calling thread, and it alone, into the network namespace `fd`.
// Returns 0, or the errno.
int trammel_enter_netns(int fd);

// Whether `fd` is an open network namespace (NS_GET_NSTYPE of ioctl_ns(2)).
int trammel_is_netns(int fd);

// pidfd_open(2). Returns a descriptor, or the errno negated.
int trammel_pidfd_open(pid_t pid);

// Where a connection was going before NAT turned it: SO_ORIGINAL_DST, or IP6T_SO_ORIGINAL_DST for `is_ipv6`.
// Writes 4 or 16 bytes of address and the port, both in network order. Returns 0, or the errno.
int trammel_original_destination(int socket, int is_ipv6, uint8_t address[16], uint16_t *port);

#endif
