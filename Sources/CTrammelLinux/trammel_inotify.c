#define _GNU_SOURCE
#include "trammel_inotify.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/inotify.h>
#include <unistd.h>

int trammel_inotify_open(void) {
    int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    return fd >= 0 ? fd : -errno;
}

static int add(int inotify, const char *folder, uint32_t mask) {
    int watch = inotify_add_watch(inotify, folder, mask | IN_ONLYDIR);
    return watch >= 0 ? watch : -errno;
}

int trammel_inotify_watch(int inotify, const char *folder) {
    return add(inotify, folder,
               IN_CREATE | IN_DELETE | IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB | IN_MOVED_FROM | IN_MOVED_TO |
                   IN_DELETE_SELF | IN_MOVE_SELF);
}

int trammel_inotify_watch_names(int inotify, const char *folder) {
    return add(inotify, folder, IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF);
}

void trammel_inotify_forget(int inotify, int watch) { (void)inotify_rm_watch(inotify, watch); }

int trammel_inotify_wait(int inotify, int bell, int milliseconds) {
    struct pollfd waiting[2] = {{.fd = inotify, .events = POLLIN}, {.fd = bell, .events = POLLIN}};
    if (poll(waiting, 2, milliseconds) <= 0) return 0;  // EINTR: the caller waits again
    int seen = 0;
    if (waiting[0].revents & POLLIN) {
        char events[16384] __attribute__((aligned(__alignof__(struct inotify_event))));
        while (read(inotify, events, sizeof events) > 0) {}
        seen |= TRAMMEL_INOTIFY_CHANGE;
    }
    if (waiting[1].revents & POLLIN) seen |= TRAMMEL_INOTIFY_BELL;
    return seen;
}
