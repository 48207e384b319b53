#define _GNU_SOURCE
#include "trammel_linux.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int trammel_memory_file(const void *bytes, size_t length) {
    int fd = memfd_create("trammel", MFD_CLOEXEC);
    if (fd < 0) return -errno;
    const char *next = bytes;
    while (length > 0) {
        ssize_t count = write(fd, next, length);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) {
            int failure = errno;
            close(fd);
            return -failure;
        }
        next += count;
        length -= (size_t)count;
    }
    lseek(fd, 0, SEEK_SET);
    return fd;
}

// Files rather than pipes, so that neither side ever waits for the other.
static int start(
    const char *path, char *const *arguments, int input, int output, int errors, pid_t *pid) {
    static char *const environment[] = {"PATH=/usr/sbin:/sbin:/usr/bin:/bin", "LC_ALL=C", NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    int failure = posix_spawn_file_actions_init(&files);
    if (failure != 0) return failure;
    failure = posix_spawnattr_init(&attributes);
    if (failure != 0) {
        posix_spawn_file_actions_destroy(&files);
        return failure;
    }
    failure = posix_spawn_file_actions_adddup2(&files, input, 0);
    if (failure == 0) failure = posix_spawn_file_actions_adddup2(&files, output, 1);
    if (failure == 0) failure = posix_spawn_file_actions_adddup2(&files, errors, 2);
    if (failure == 0) failure = posix_spawn_file_actions_addclosefrom_np(&files, 3);
    if (failure == 0) failure = posix_spawnattr_setsigmask(&attributes, &none);
    if (failure == 0) failure = posix_spawnattr_setsigdefault(&attributes, &all);
    if (failure == 0) {
        failure = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    }
    if (failure == 0) failure = posix_spawn(pid, path, &files, &attributes, arguments, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    return failure;
}

// 0 when the process has ended by then, ETIMEDOUT when not.
static int await_end(pid_t pid, int milliseconds) {
    int process = (int)syscall(SYS_pidfd_open, pid, 0);
    if (process < 0) return errno;
    struct pollfd waiting = {.fd = process, .events = POLLIN};
    int count;
    do {
        count = poll(&waiting, 1, milliseconds);
    } while (count < 0 && errno == EINTR);
    close(process);
    return count > 0 ? 0 : ETIMEDOUT;
}

int trammel_run(
    const char *path, char *const *arguments, const void *input, size_t length, int milliseconds, int *output,
    int *errors, int *status) {
    int files[3];
    for (int i = 0; i < 3; i++) {
        files[i] = trammel_memory_file(input, i == 0 ? length : 0);
        if (files[i] < 0) {
            for (int j = 0; j < i; j++) close(files[j]);
            return -files[i];
        }
    }
    pid_t pid;
    int failure = start(path, arguments, files[0], files[1], files[2], &pid);
    close(files[0]);
    if (failure == 0) {
        failure = await_end(pid, milliseconds);
        if (failure != 0) kill(pid, SIGKILL);
        while (waitpid(pid, status, 0) < 0 && errno == EINTR) {}
    }
    if (failure != 0 && failure != ETIMEDOUT) {
        close(files[1]);
        close(files[2]);
        return failure;
    }
    lseek(files[1], 0, SEEK_SET);
    lseek(files[2], 0, SEEK_SET);
    *output = files[1];
    *errors = files[2];
    return failure;
}
