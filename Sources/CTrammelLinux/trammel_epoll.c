#define _GNU_SOURCE
#include "trammel_epoll.h"

#include <errno.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

enum { MOST_EVENTS = 64 };

int trammel_epoll_create(void) {
    int fd = epoll_create1(EPOLL_CLOEXEC);
    return fd >= 0 ? fd : -errno;
}

int trammel_eventfd(void) {
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return fd >= 0 ? fd : -errno;
}

static int control(int epoll, int operation, int fd, uint64_t token) {
    struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT, .data.u64 = token};
    return epoll_ctl(epoll, operation, fd, &event) == 0 ? 0 : errno;
}

int trammel_epoll_add(int epoll, int fd, uint64_t token) { return control(epoll, EPOLL_CTL_ADD, fd, token); }

int trammel_epoll_again(int epoll, int fd, uint64_t token) { return control(epoll, EPOLL_CTL_MOD, fd, token); }

int trammel_epoll_remove(int epoll, int fd) { return epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL) == 0 ? 0 : errno; }

int trammel_epoll_wait(int epoll, uint64_t *tokens, int capacity) {
    struct epoll_event events[MOST_EVENTS];
    int count;
    do {
        count = epoll_wait(epoll, events, capacity < MOST_EVENTS ? capacity : MOST_EVENTS, -1);
    } while (count < 0 && errno == EINTR);
    if (count < 0) return -errno;
    for (int i = 0; i < count; i++) tokens[i] = events[i].data.u64;
    return count;
}
