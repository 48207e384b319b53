#define _GNU_SOURCE
#include "trammel_probe.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LONGEST = 64 };

struct order {
    struct sockaddr_storage target;
    socklen_t length;
    int milliseconds;
    char greeting[LONGEST];
};

// Between fork and _exit only calls that are safe after a fork of a program with threads: no allocation, no locks.

static int wait_for(int fd, short events, int milliseconds) {
    struct pollfd polled = {.fd = fd, .events = events};
    int count;
    do {
        count = poll(&polled, 1, milliseconds);
    } while (count < 0 && errno == EINTR);
    return count > 0 ? 0 : count == 0 ? ETIMEDOUT : errno;
}

static int attempt(int fd, const struct order *order) {
    if (connect(fd, (const struct sockaddr *)&order->target, order->length) != 0 && errno != EINPROGRESS) return errno;
    int failure = wait_for(fd, POLLOUT, order->milliseconds);
    if (failure) return failure;
    socklen_t size = sizeof failure;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &size) != 0) return errno;
    if (failure) return failure;
    char said[LONGEST];
    size_t wanted = strlen(order->greeting), count = 0;
    while (count < wanted) {
        if ((failure = wait_for(fd, POLLIN, order->milliseconds))) return failure;
        ssize_t more = recv(fd, said + count, wanted - count, 0);
        if (more < 0) return errno;
        if (more == 0) return -1;
        count += (size_t)more;
    }
    return memcmp(said, order->greeting, wanted) == 0 ? 0 : -1;
}

static void be_the_child(int netns, int procs, int family, int in, int out) {
    int32_t result;
    uint16_t port = 0;
    int fd = -1;
    struct order order;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (setns(netns, CLONE_NEWNET) != 0) goto failed;
    // 0 is whoever writes it. Before the socket, which belongs to the cgroup that it is made in.
    if (write(procs, "0", 1) != 1) goto failed;
    fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) goto failed;
    struct sockaddr_storage own = {.ss_family = (sa_family_t)family};
    socklen_t length = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    if (bind(fd, (struct sockaddr *)&own, length) != 0 || getsockname(fd, (struct sockaddr *)&own, &length) != 0)
        goto failed;
    // The port lies at the same place in both families.
    port = ntohs(((struct sockaddr_in *)&own)->sin_port);
    if (write(out, &port, sizeof port) != sizeof port) _exit(1);
    if (read(in, &order, sizeof order) != sizeof order) _exit(1);
    result = attempt(fd, &order);
    goto told;
failed:
    result = errno;
    port = 0;
    if (write(out, &port, sizeof port) != sizeof port) _exit(1);
told:
    _exit(write(out, &result, sizeof result) == sizeof result ? 0 : 1);
}

static ssize_t read_all(int fd, void *into, size_t length) {
    size_t count = 0;
    while (count < length) {
        ssize_t more = read(fd, (char *)into + count, length - count);
        if (more < 0 && errno == EINTR) continue;
        if (more <= 0) return -1;
        count += (size_t)more;
    }
    return (ssize_t)count;
}

static void end(struct trammel_probe *probe) {
    close(probe->from);
    close(probe->to);
    while (waitpid(probe->child, NULL, 0) < 0 && errno == EINTR) {}
}

int trammel_probe_start(struct trammel_probe *probe, int netns, int procs, int family) {
    int in[2], out[2];
    if (pipe2(in, O_CLOEXEC) != 0) return errno;
    if (pipe2(out, O_CLOEXEC) != 0) {
        int failure = errno;
        close(in[0]);
        close(in[1]);
        return failure;
    }
    probe->child = fork();
    if (probe->child == 0) be_the_child(netns, procs, family, in[0], out[1]);
    int failure = probe->child < 0 ? errno : 0;
    close(in[0]);
    close(out[1]);
    probe->from = out[0];
    probe->to = in[1];
    if (failure) {
        close(out[0]);
        close(in[1]);
        return failure;
    }
    int32_t result;
    if (read_all(probe->from, &probe->port, sizeof probe->port) < 0) {
        end(probe);
        return ECHILD;
    }
    if (probe->port != 0) return 0;
    if (read_all(probe->from, &result, sizeof result) < 0) result = ECHILD;
    end(probe);
    return result;
}

int trammel_probe_connect(
    struct trammel_probe *probe, const void *target, unsigned int length, const char *greeting, int milliseconds) {
    struct order order = {.length = length, .milliseconds = milliseconds};
    int32_t result = ECHILD;
    memcpy(&order.target, target, length);
    strncpy(order.greeting, greeting, LONGEST - 1);
    // A pipe takes this whole: it is shorter than PIPE_BUF.
    if (write(probe->to, &order, sizeof order) != sizeof order || read_all(probe->from, &result, sizeof result) < 0)
        result = ECHILD;
    end(probe);
    return result;
}

void trammel_probe_stop(struct trammel_probe *probe) {
    // Without an order the child has nothing to do.
    close(probe->to);
    close(probe->from);
    while (waitpid(probe->child, NULL, 0) < 0 && errno == EINTR) {}
}

static long long milliseconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

// The socket, or -1 with the result set: a call that cannot be begun fails by itself.
static int bind_call(struct trammel_attempt *call) {
    int fd = -1;
    if (setns(call->netns, CLONE_NEWNET) != 0) goto failed;
    fd = socket(call->target.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) goto failed;
    call->own = (struct sockaddr_storage){.ss_family = call->target.ss_family};
    socklen_t length = call->length;
    if (bind(fd, (struct sockaddr *)&call->own, length) != 0) goto failed;
    if (getsockname(fd, (struct sockaddr *)&call->own, &length) != 0) goto failed;
    call->result = EINPROGRESS;
    return fd;
failed:
    call->result = errno;
    if (fd >= 0) close(fd);
    return -1;
}

static int connect_call(struct trammel_attempt *call, int fd) {
    socklen_t length = sizeof call->own;
    if ((connect(fd, (struct sockaddr *)&call->target, call->length) != 0 && errno != EINPROGRESS)
        || getsockname(fd, (struct sockaddr *)&call->own, &length) != 0) {
        call->result = errno;
        return -1;
    }
    return fd;
}

static void wait_for_calls(struct trammel_attempt *calls, struct pollfd *polled, size_t count, int milliseconds) {
    long long end = milliseconds_now() + milliseconds;
    size_t open = 0;
    for (size_t i = 0; i < count; i++) open += polled[i].fd >= 0;
    while (open > 0) {
        long long left = end - milliseconds_now();
        int found = left > 0 ? poll(polled, count, (int)left) : 0;
        if (found < 0 && errno == EINTR) continue;
        if (found <= 0) break;
        for (size_t i = 0; i < count; i++) {
            if (polled[i].fd < 0 || polled[i].revents == 0) continue;
            socklen_t size = sizeof calls[i].result;
            if (getsockopt(polled[i].fd, SOL_SOCKET, SO_ERROR, &calls[i].result, &size) != 0) calls[i].result = errno;
            // It stays open, and is looked at no more.
            polled[i].fd = -1;
            open--;
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (calls[i].result == EINPROGRESS) calls[i].result = ETIMEDOUT;
    }
}

static void be_the_child_of_many(
    struct trammel_attempt *calls, struct pollfd *polled, size_t count, int procs, int in, int out) {
    int32_t failure = 0, milliseconds;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (write(procs, "0", 1) != 1) failure = errno;
    for (size_t i = 0; i < count && failure == 0; i++) {
        polled[i] = (struct pollfd){.fd = bind_call(&calls[i]), .events = POLLOUT};
    }
    if (write(out, &failure, sizeof failure) != sizeof failure || failure) _exit(1);
    if (read(in, &milliseconds, sizeof milliseconds) != sizeof milliseconds) _exit(1);
    for (size_t i = 0; i < count; i++) {
        if (polled[i].fd >= 0) polled[i].fd = connect_call(&calls[i], polled[i].fd);
    }
    wait_for_calls(calls, polled, count, milliseconds);
    if (write(out, &failure, sizeof failure) != sizeof failure) _exit(1);
    // Until the parent has looked.
    _exit(read(in, &milliseconds, sizeof milliseconds) < 0);
}

int trammel_attempts_start(
    struct trammel_attempts *attempts, const struct trammel_attempt *calls, size_t count, int procs) {
    int32_t failure = 0;
    int in[2], out[2];
    attempts->count = count;
    attempts->calls =
        mmap(NULL, count * sizeof *calls, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (attempts->calls == MAP_FAILED) return errno;
    memcpy(attempts->calls, calls, count * sizeof *calls);
    struct pollfd *polled = calloc(count, sizeof *polled);
    if (polled == NULL || pipe2(in, O_CLOEXEC) != 0) {
        failure = errno;
        goto unmap;
    }
    if (pipe2(out, O_CLOEXEC) != 0) {
        failure = errno;
        close(in[0]);
        close(in[1]);
        goto unmap;
    }
    attempts->child = fork();
    if (attempts->child == 0) be_the_child_of_many(attempts->calls, polled, count, procs, in[0], out[1]);
    if (attempts->child < 0) failure = errno;
    close(in[0]);
    close(out[1]);
    attempts->from = out[0];
    attempts->to = in[1];
    free(polled);
    if (failure) {
        close(out[0]);
        close(in[1]);
        munmap(attempts->calls, count * sizeof *calls);
        return failure;
    }
    if (read_all(attempts->from, &failure, sizeof failure) < 0) failure = ECHILD;
    if (failure) trammel_attempts_end(attempts);
    return failure;
unmap:
    free(polled);
    munmap(attempts->calls, count * sizeof *calls);
    return failure;
}

int trammel_attempts_connect(struct trammel_attempts *attempts, int32_t milliseconds) {
    int32_t failure;
    if (write(attempts->to, &milliseconds, sizeof milliseconds) != sizeof milliseconds) return ECHILD;
    return read_all(attempts->from, &failure, sizeof failure) < 0 ? ECHILD : 0;
}

void trammel_attempts_end(struct trammel_attempts *attempts) {
    // Not by closing alone: a child that was forked meanwhile, for another reason, may have this end too.
    int32_t word = 0;
    if (write(attempts->to, &word, sizeof word) < 0) {}
    close(attempts->to);
    close(attempts->from);
    while (waitpid(attempts->child, NULL, 0) < 0 && errno == EINTR) {}
    munmap(attempts->calls, attempts->count * sizeof *attempts->calls);
}
