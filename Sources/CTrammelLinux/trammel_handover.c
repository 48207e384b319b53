#define _GNU_SOURCE
#include "trammel_handover.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

union descriptors {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int) * TRAMMEL_MOST_DESCRIPTORS)];
};

int trammel_send_descriptors(
    int fd, const void *bytes, size_t length, const int *descriptors, size_t count, const void *address,
    unsigned address_length) {
    if (count > TRAMMEL_MOST_DESCRIPTORS) return EINVAL;
    struct iovec part = {.iov_base = (void *)bytes, .iov_len = length};
    struct msghdr message = {
        .msg_name = (void *)address, .msg_namelen = address_length, .msg_iov = &part, .msg_iovlen = 1};
    union descriptors control;
    if (count > 0) {
        memset(&control, 0, sizeof control);
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int) * count);
        memcpy(CMSG_DATA(header), descriptors, sizeof(int) * count);
    }
    ssize_t sent;
    do {
        sent = sendmsg(fd, &message, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent < 0 ? errno : 0;
}

int trammel_sealed_file(const char *name, const void *bytes, size_t length) {
    int file = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (file < 0) return -errno;
    for (size_t done = 0; done < length;) {
        ssize_t count = write(file, (const char *)bytes + done, length - done);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) goto failed;
        done += (size_t)count;
    }
    if (fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) == 0) return file;
failed:;
    int error = errno;
    close(file);
    return -error;
}

ssize_t trammel_receive_descriptors(int fd, void *buffer, size_t length, int *descriptors, size_t *count) {
    struct iovec part = {.iov_base = buffer, .iov_len = length};
    union descriptors control;
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control};
    size_t room = *count;
    *count = 0;
    ssize_t got;
    do {
        got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
    } while (got < 0 && errno == EINTR);
    if (got < 0) return -errno;
    int is_cut = (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header != NULL; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
        size_t passed = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < passed; i++) {
            int descriptor;
            memcpy(&descriptor, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
            if (*count < room && !is_cut) {
                descriptors[(*count)++] = descriptor;
            } else {
                close(descriptor);
                is_cut = 1;
            }
        }
    }
    if (is_cut) {
        for (size_t i = 0; i < *count; i++) close(descriptors[i]);
        *count = 0;
        return -EMSGSIZE;
    }
    return got;
}

// In the process that is to become the program. Only what may be called between fork and exec.
static void become(const char *path, char *const *arguments, char *const *environment, int kept, int word) {
    sigset_t none;
    sigemptyset(&none);
    for (int number = 1; number < NSIG; number++) signal(number, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    // `word` out of the way of 3 first: it is closed by exec, and says by that that there was no failure.
    int away = fcntl(word, F_DUPFD_CLOEXEC, 4);
    if (away >= 0 && dup2(kept, 3) == 3 && fcntl(3, F_SETFD, 0) == 0) {
        syscall(SYS_close_range, 4, ~0U, 4 /* CLOSE_RANGE_CLOEXEC */);
        execve(path, arguments, environment);
    }
    int failure = errno;
    ssize_t ignored = write(away >= 0 ? away : word, &failure, sizeof failure);
    (void)ignored;
    _exit(127);
}

int trammel_start_apart(
    const char *path, char *const *arguments, char *const *environment, int kept, pid_t *pid) {
    // By one the process between says the number of the other, by the other that one says why it is not the program;
    // exec closes it.
    int numbers[2], failures[2];
    if (pipe2(numbers, O_CLOEXEC) != 0) return errno;
    if (pipe2(failures, O_CLOEXEC) != 0) {
        int failure = errno;
        close(numbers[0]);
        close(numbers[1]);
        return failure;
    }
    pid_t between = fork();
    int failure = between < 0 ? errno : 0;
    if (between == 0) {
        pid_t other = fork();
        if (other == 0) become(path, arguments, environment, kept, failures[1]);
        ssize_t ignored = write(numbers[1], &other, sizeof other);
        (void)ignored;
        _exit(0);
    }
    close(numbers[1]);
    close(failures[1]);
    if (failure == 0) {
        int status;
        while (waitpid(between, &status, 0) < 0 && errno == EINTR) {}
        if (read(numbers[0], pid, sizeof *pid) != sizeof *pid || *pid <= 0) failure = EAGAIN;
        int told;
        if (failure == 0 && read(failures[0], &told, sizeof told) == sizeof told) failure = told;
    }
    close(numbers[0]);
    close(failures[0]);
    return failure;
}
