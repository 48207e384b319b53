#define _GNU_SOURCE
#include "trammel_linux.h"

#include <errno.h>
#include <linux/nsfs.h>
#include <netinet/in.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

// The number is the same for both families: SO_ORIGINAL_DST and IP6T_SO_ORIGINAL_DST.
enum { ORIGINAL_DESTINATION = 80 };

int trammel_enter_netns(int fd) { return setns(fd, CLONE_NEWNET) == 0 ? 0 : errno; }

int trammel_is_netns(int fd) { return ioctl(fd, NS_GET_NSTYPE) == CLONE_NEWNET; }

int trammel_pidfd_open(pid_t pid) {
    long fd = syscall(SYS_pidfd_open, pid, 0);
    return fd >= 0 ? (int)fd : -errno;
}

int trammel_original_destination(int socket, int is_ipv6, uint8_t address[16], uint16_t *port) {
    if (is_ipv6) {
        struct sockaddr_in6 found;
        socklen_t length = sizeof found;
        if (getsockopt(socket, IPPROTO_IPV6, ORIGINAL_DESTINATION, &found, &length) != 0) return errno;
        memcpy(address, &found.sin6_addr, 16);
        *port = found.sin6_port;
    } else {
        struct sockaddr_in found;
        socklen_t length = sizeof found;
        if (getsockopt(socket, IPPROTO_IP, ORIGINAL_DESTINATION, &found, &length) != 0) return errno;
        memcpy(address, &found.sin_addr, 4);
        *port = found.sin_port;
    }
    return 0;
}
