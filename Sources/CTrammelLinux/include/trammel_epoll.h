// epoll(7) for descriptors that are watched for one readable moment at a time.
#ifndef TRAMMEL_EPOLL_H
#define TRAMMEL_EPOLL_H

#include <stdint.h>

// Each returns a descriptor, closed on exec, or the negated errno.
int trammel_epoll_create(void);
int trammel_eventfd(void);

// Watches `fd`, until it can be read for the first time. Returns 0, or the errno.
int trammel_epoll_add(int epoll, int fd, uint64_t token);

// Watches `fd` once more. Returns 0, or the errno.
int trammel_epoll_again(int epoll, int fd, uint64_t token);

int trammel_epoll_remove(int epoll, int fd);

// Waits until something can be read. Returns how many tokens were written, or the negated errno; never EINTR.
int trammel_epoll_wait(int epoll, uint64_t *tokens, int capacity);

#endif
