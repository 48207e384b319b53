#define _GNU_SOURCE
#include "trammel_linux.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <linux/nsfs.h>
#include <malloc.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef IP_ORIGDSTADDR
#define IP_ORIGDSTADDR 20
#endif
#ifndef IPV6_ORIGDSTADDR
#define IPV6_ORIGDSTADDR 74
#endif

int trammel_enter_netns(int fd) { return setns(fd, CLONE_NEWNET) == 0 ? 0 : errno; }

int trammel_unshare_netns(void) { return unshare(CLONE_NEWNET) == 0 ? 0 : errno; }

int trammel_is_netns(int fd) { return ioctl(fd, NS_GET_NSTYPE) == CLONE_NEWNET; }

int trammel_pidfd_open(pid_t pid) {
    long fd = syscall(SYS_pidfd_open, pid, 0);
    return fd >= 0 ? (int)fd : -errno;
}

ssize_t trammel_cgroup_path(int mount, uint64_t id, char *path, size_t length) {
    // `struct file_handle` of name_to_handle_at(2), with a handle of kernfs: type 0xFE, the id.
    union {
        struct file_handle handle;
        unsigned char bytes[sizeof(struct file_handle) + sizeof id];
    } handle = {.handle = {.handle_bytes = sizeof id, .handle_type = 0xFE}};
    memcpy(handle.bytes + sizeof(struct file_handle), &id, sizeof id);
    int fd = open_by_handle_at(mount, &handle.handle, O_PATH | O_CLOEXEC);
    if (fd < 0) return -errno;
    char link[32];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t count = readlink(link, path, length);
    if (count < 0) count = -errno;
    close(fd);
    return count;
}

ssize_t trammel_receive_datagram(
    int fd, void *buffer, size_t length, void *sender, void *destination, int *truncated) {
    union {
        char bytes[256];
        struct cmsghdr align;
    } control;
    struct iovec part = {.iov_base = buffer, .iov_len = length};
    struct msghdr message = {
        .msg_name = sender,
        .msg_namelen = sizeof(struct sockaddr_storage),
        .msg_iov = &part,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = sizeof control.bytes,
    };
    memset(sender, 0, sizeof(struct sockaddr_storage));
    memset(destination, 0, sizeof(struct sockaddr_storage));
    ssize_t count;
    do {
        count = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (count < 0 && errno == EINTR);
    if (count < 0) return -errno;
    *truncated = (message.msg_flags & MSG_TRUNC) != 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c != NULL; c = CMSG_NXTHDR(&message, c)) {
        if (c->cmsg_level == SOL_IP && c->cmsg_type == IP_ORIGDSTADDR &&
            c->cmsg_len >= CMSG_LEN(sizeof(struct sockaddr_in))) {
            memcpy(destination, CMSG_DATA(c), sizeof(struct sockaddr_in));
        } else if (
            c->cmsg_level == SOL_IPV6 && c->cmsg_type == IPV6_ORIGDSTADDR &&
            c->cmsg_len >= CMSG_LEN(sizeof(struct sockaddr_in6))) {
            memcpy(destination, CMSG_DATA(c), sizeof(struct sockaddr_in6));
        }
    }
    return count;
}

ssize_t trammel_send_parts(
    int fd, const void *first, size_t first_length, const void *second, size_t second_length, const void *address,
    unsigned address_length) {
    struct iovec parts[] = {
        {.iov_base = (void *)first, .iov_len = first_length},
        {.iov_base = (void *)second, .iov_len = second_length},
    };
    struct msghdr message = {
        .msg_name = (void *)address,
        .msg_namelen = address_length,
        .msg_iov = parts,
        .msg_iovlen = second_length > 0 ? 2 : 1,
    };
    ssize_t count;
    do {
        count = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (count < 0 && errno == EINTR);
    return count < 0 ? -errno : count;
}

void trammel_give_memory_back(void) { malloc_trim(0); }

static int forget_code(struct dl_phdr_info *info, size_t size, void *done) {
    (void)size;
    (void)done;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        if (part->p_type != PT_LOAD || (part->p_flags & (PF_X | PF_W)) != PF_X) continue;
        uintptr_t start = (info->dlpi_addr + part->p_vaddr) & ~(page - 1);
        uintptr_t end = (info->dlpi_addr + part->p_vaddr + part->p_memsz + page - 1) & ~(page - 1);
        madvise((void *)start, end - start, MADV_DONTNEED);
    }
    // The program itself comes first; libraries are shared with others and small.
    return 1;
}

void trammel_forget_code_of_start(void) { dl_iterate_phdr(forget_code, NULL); }
