// The load that wrk does not know how to make. One epoll thread; prints one line of JSON.
//
//   load ping  ADDRESS PORT CONNECTIONS SECONDS        100 bytes there and back, one outstanding per connection
//   load bulk  ADDRESS PORT CONNECTIONS SECONDS        reads as fast as it can
//   load pace  ADDRESS PORT CONNECTIONS SECONDS RATE   open loop: HTTP requests due at RATE per second, each one's
//                                                      latency counted from when it was due, sent late or not
//   load idle  ADDRESS PORT CONNECTIONS http|tcp       one exchange on each connection, prints "ready", holds them all
//                                                      open until its standard input ends
//   load heads ADDRESS PORT CONNECTIONS SECONDS        begins a request on each, prints "ready", and goes on with a byte
//                                                      on each every so many seconds until its standard input ends
//   load sips  ADDRESS PORT CONNECTIONS SECONDS        the same, but reads a little of what pours on each
//   load trickle ADDRESS PORT CONNECTIONS SECONDS      the same, but sends a little and reads what was echoed before
//   load storm ADDRESS PORT CONNECTIONS 0              so many at a time connect and reset, until its standard input ends
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MESSAGE = 100, HEAD = 4096, READ = 256 * 1024, BUCKETS = 2000000 };

struct connection {
    int fd;
    uint64_t due;       // when the outstanding exchange was due, in ns
    size_t received;    // bytes of the answer so far
    size_t expected;    // bytes of the answer, 0 while its head is incomplete
    char head[HEAD];
};

static struct sockaddr_in target;
static int poller;
static char buffer[READ];
static uint32_t histogram[BUCKETS];  // by microsecond; the last bucket holds everything slower
static uint64_t count, bytes;

// Of exchanges at a steady rate, in the order of their ends, by the second of the load in which they ended.
struct sample {
    uint32_t second, microseconds;
};
static struct sample *samples;
static size_t kept, room;

static void fail(const char *what) {
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void refuse(const char *what) {
    fprintf(stderr, "load: %s\n", what);
    exit(1);
}

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void record(uint64_t since, uint64_t at) {
    uint64_t microseconds = (at - since) / 1000;
    histogram[microseconds < BUCKETS ? microseconds : BUCKETS - 1]++;
    count++;
}

static unsigned quantile(double q) {
    uint64_t wanted = (uint64_t)(count * q), seen = 0;
    for (unsigned i = 0; i < BUCKETS; i++)
        if ((seen += histogram[i]) > wanted) return i;
    return 0;
}

static void open_(struct connection *c) {
    int on = 1;
    if ((c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) < 0) fail("socket");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(c->fd, (struct sockaddr *)&target, sizeof target) < 0) fail("connect");
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &event) < 0) fail("epoll_ctl");
}

static const char request[] = "GET / HTTP/1.1\r\nHost: reviews\r\nUser-Agent: load\r\nAccept: */*\r\n\r\n";

static void ask(struct connection *c, uint64_t due) {
    c->due = due;
    c->received = c->expected = 0;
    if (send(c->fd, request, sizeof request - 1, MSG_NOSIGNAL) != sizeof request - 1) fail("send");
}

// Reads what is there of an answer; true once it is whole. Anything but a 200 of a known length ends the run.
static int answered(struct connection *c) {
    ssize_t n = recv(c->fd, c->head + c->received, HEAD - c->received - 1, 0);
    if (n < 0) fail("recv");
    if (n == 0) refuse("the connection was closed instead of an answer");
    c->received += n;
    c->head[c->received] = 0;
    if (!c->expected) {
        char *end = strstr(c->head, "\r\n\r\n");
        if (!end) return 0;
        if (strncmp(c->head, "HTTP/1.1 200", 12)) refuse("the answer was not a 200");
        char *length = strcasestr(c->head, "\r\ncontent-length:");
        if (!length || length > end) refuse("the answer bore no content-length");
        c->expected = end + 4 - c->head + strtoul(length + 17, NULL, 10);
    }
    if (c->received > c->expected) refuse("the answer was longer than its content-length");
    return c->received == c->expected;
}

static void exchange(struct connection *c, int http) {
    if (http) {
        ask(c, now());
        while (!answered(c)) {}
        return;
    }
    if (send(c->fd, buffer, MESSAGE, MSG_NOSIGNAL) != MESSAGE) fail("send");
    for (size_t got = 0; got < MESSAGE;) {
        ssize_t n = recv(c->fd, buffer, MESSAGE - got, 0);
        if (n <= 0) fail("recv");
        got += n;
    }
}

static int slower(const void *one, const void *other) {
    uint32_t a = ((const struct sample *)one)->microseconds, b = ((const struct sample *)other)->microseconds;
    return (a > b) - (a < b);
}

static void report(uint64_t started) {
    printf(
        "{\"count\": %lu, \"bytes\": %lu, \"seconds\": %.6f, \"p50\": %u, \"p99\": %u, \"p999\": %u, \"p99 of each\": [",
        count, bytes, (now() - started) / 1e9, quantile(0.5), quantile(0.99), quantile(0.999));
    for (size_t second = 0, at = 0; at < kept; second++) {
        size_t first = at;
        while (at < kept && samples[at].second == second) at++;
        qsort(samples + first, at - first, sizeof *samples, slower);
        if (at > first) printf("%s%u", first ? ", " : "", samples[first + (size_t)((at - first) * 0.99)].microseconds);
    }
    printf("]}\n");
}

static void ping(struct connection *all, int connections, uint64_t until) {
    for (int i = 0; i < connections; i++) {
        all[i].due = now();
        if (send(all[i].fd, buffer, MESSAGE, MSG_NOSIGNAL) != MESSAGE) fail("send");
    }
    struct epoll_event events[256];
    for (uint64_t at = now(); at < until;) {
        int ready = epoll_wait(poller, events, 256, 100);
        at = now();
        for (int i = 0; i < ready; i++) {
            struct connection *c = events[i].data.ptr;
            ssize_t n = recv(c->fd, buffer, MESSAGE, 0);
            if (n <= 0) fail("recv");
            if ((c->received += n) < MESSAGE) continue;
            c->received = 0;
            record(c->due, at);
            c->due = at;
            if (send(c->fd, buffer, MESSAGE, MSG_NOSIGNAL) != MESSAGE) fail("send");
        }
    }
}

static void bulk(uint64_t until) {
    struct epoll_event events[256];
    while (now() < until) {
        int ready = epoll_wait(poller, events, 256, 100);
        for (int i = 0; i < ready; i++) {
            // MSG_TRUNC: TCP throws the bytes away in the kernel, so that reading them costs next to nothing here.
            ssize_t n = recv(((struct connection *)events[i].data.ptr)->fd, buffer, READ, MSG_TRUNC);
            if (n <= 0) fail("recv");
            bytes += n;
        }
    }
}

static void pace(struct connection *all, int connections, uint64_t until, double rate) {
    struct connection **idle = calloc(connections, sizeof *idle);
    room = (size_t)(rate * ((until - now()) / 1e9 + 1));
    samples = calloc(room, sizeof *samples);
    int free = 0;
    for (int i = connections; i-- > 0;) idle[free++] = &all[i];
    prctl(PR_SET_TIMERSLACK, 1000UL);
    uint64_t started = now(), due = started, sent = 0;
    struct epoll_event events[256];
    for (uint64_t at = started; at < until; at = now()) {
        while (free && due <= at) {
            ask(idle[--free], due);
            due = started + (uint64_t)(++sent * 1e9 / rate);
        }
        uint64_t wait = !free ? 100000000 : due > at ? due - at : 0;
        struct timespec timeout = {.tv_sec = wait / 1000000000, .tv_nsec = wait % 1000000000};
        int ready = epoll_pwait2(poller, events, 256, &timeout, NULL);
        at = now();
        for (int i = 0; i < ready; i++) {
            struct connection *c = events[i].data.ptr;
            if (!answered(c)) continue;
            record(c->due, at);
            // What is a little late for the last second counts for it.
            uint64_t ended = at < until ? at : until - 1;
            if (kept < room) samples[kept++] = (struct sample){(ended - started) / 1000000000, (at - c->due) / 1000};
            idle[free++] = c;
        }
    }
}

// Whether whoever started this wants it to end, after waiting for that or for the time to pass.
static int ended(int milliseconds) {
    struct pollfd input = {.fd = 0, .events = POLLIN};
    return poll(&input, 1, milliseconds) > 0;
}

static void announce(void) {
    printf("ready\n");
    fflush(stdout);
}

// Each connection has its turn once in `seconds`. One that the other side has ended is left alone. It is ready when each
// has had a turn: while they are new the kernel asks all that nobody reads whether there is room again, at the same time
// and over and over, and nothing else gets through meanwhile, whoever carries them.
static void slow(struct connection *all, int connections, double seconds, char mode) {
    static const char beginning[] = "GET / HTTP/1.1\r\nHost: reviews\r\nX-Slow: ";
    if (mode == 'h')
        for (int i = 0; i < connections; i++)
            if (send(all[i].fd, beginning, sizeof beginning - 1, MSG_NOSIGNAL) < 0) fail("send");
    uint64_t started = now(), turns = 0;
    for (int isReady = 0; !ended(1);) {
        if (!isReady && turns >= (uint64_t)connections) {
            announce();
            isReady = 1;
        }
        uint64_t due = (uint64_t)((now() - started) / 1e9 / seconds * connections);
        for (; turns < due; turns++) {
            int fd = all[turns % connections].fd;
            if (mode != 'h') recv(fd, buffer, 1024, MSG_DONTWAIT);
            if (mode != 's') send(fd, buffer, mode == 'h' ? 1 : 100, MSG_NOSIGNAL | MSG_DONTWAIT);
        }
    }
}

static void storm(int connections) {
    struct linger reset = {.l_onoff = 1};
    uint64_t started = now();
    announce();
    struct epoll_event events[256];
    for (int open = 0; !ended(0);) {
        for (; open < connections; open++) {
            int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
            if (fd < 0) fail("socket");
            if (connect(fd, (struct sockaddr *)&target, sizeof target) < 0 && errno != EINPROGRESS) fail("connect");
            struct epoll_event event = {.events = EPOLLOUT, .data.fd = fd};
            if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) < 0) fail("epoll_ctl");
        }
        int ready = epoll_wait(poller, events, 256, 10);
        for (int i = 0; i < ready; i++, open--, count++) {
            setsockopt(events[i].data.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
            close(events[i].data.fd);
        }
    }
    report(started);
}

int main(int argc, char **argv) {
    if (argc < 6) refuse("usage: load ping|bulk|pace|idle|heads|sips|trickle|storm ADDRESS PORT CONNECTIONS SECONDS|http|tcp [RATE]");
    const char *mode = argv[1];
    int connections = atoi(argv[4]);
    target = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(atoi(argv[3]))};
    if (inet_pton(AF_INET, argv[2], &target.sin_addr) != 1) refuse("the address is not an IPv4 address");
    struct connection *all = calloc(connections, sizeof *all);
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (!strcmp(mode, "storm")) {
        storm(connections);
        return 0;
    }
    for (int i = 0; i < connections; i++) open_(&all[i]);

    if (!strcmp(mode, "idle")) {
        for (int i = 0; i < connections; i++) exchange(&all[i], !strcmp(argv[5], "http"));
        printf("ready\n");
        fflush(stdout);
        while (read(0, buffer, sizeof buffer) > 0) {}
        return 0;
    }
    if (!strcmp(mode, "heads") || !strcmp(mode, "sips") || !strcmp(mode, "trickle")) {
        memset(buffer, 'a', MESSAGE);
        slow(all, connections, atof(argv[5]), mode[0]);
        return 0;
    }
    uint64_t started = now(), until = started + (uint64_t)(atof(argv[5]) * 1e9);
    if (!strcmp(mode, "ping")) ping(all, connections, until);
    else if (!strcmp(mode, "bulk")) bulk(until);
    else if (!strcmp(mode, "pace") && argc == 7) pace(all, connections, until, atof(argv[6]));
    else refuse("unknown mode");
    report(started);
    return 0;
}
