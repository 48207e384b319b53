// The application at the far end of every benchmark: one epoll thread that does as little as an honest server can,
// so that the proxy in between is what gets measured.
//
//   backend NAME     :80    HTTP/1.1 keep-alive, small response that names NAME; GET /echo answers the request's head
//                    :7000  echoes what it reads
//                    :7001  sends for as long as the client reads
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum role { LISTEN_HTTP, LISTEN_ECHO, LISTEN_SOURCE, HTTP, ECHO, SOURCE };

enum { BUFFER = 256 * 1024, RESPONSES = 64 };

static char buffer[BUFFER];
static char zeros[BUFFER];
static char responses[RESPONSES * 256];
static size_t responseLength;
static char lastResponse[256];
static size_t lastResponseLength;
static const char *name;
static int poller;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void watch(int fd, enum role role, uint32_t events) {
    struct epoll_event event = {.events = events, .data.u64 = (uint64_t)role << 32 | (uint32_t)fd};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) < 0) fail("epoll_ctl");
}

static void serve(uint16_t port, enum role role) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) fail("bind");
    if (listen(fd, 16384) < 0) fail("listen");
    watch(fd, role, EPOLLIN);
}

static void acceptAll(int listener, enum role role) {
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), on = 1;
        if (fd < 0) return;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        watch(fd, role, role == SOURCE ? EPOLLOUT | EPOLLRDHUP : EPOLLIN);
    }
}

// Requests bear no body, and the load generators send each head in one segment, so a head ends in the read that
// brought it; one that does not is the proxy's to put together, and counts when its end arrives in one piece.
static void answerHTTP(int fd) {
    ssize_t n = read(fd, buffer, sizeof buffer - 1);
    if (n <= 0) {
        if (n == 0 || errno != EAGAIN) close(fd);
        return;
    }
    buffer[n] = 0;
    if (!strncmp(buffer, "GET /echo", 9)) {
        char head[512];
        int length = snprintf(
            head, sizeof head, "HTTP/1.1 200 OK\r\nx-backend: %s\r\ncontent-length: %zd\r\n\r\n", name, n);
        if (write(fd, head, length) != length || write(fd, buffer, n) != n) close(fd);
        return;
    }
    size_t count = 0;
    for (char *at = buffer; (at = memmem(at, buffer + n - at, "\r\n\r\n", 4)); at += 4) count++;
    if (memmem(buffer, n, "onnection: close", 16)) {
        if (write(fd, lastResponse, lastResponseLength) < 0) perror("write");
        close(fd);
        return;
    }
    while (count) {
        size_t some = count < RESPONSES ? count : RESPONSES;
        if (write(fd, responses, some * responseLength) != (ssize_t)(some * responseLength)) {
            close(fd);
            return;
        }
        count -= some;
    }
}

static void echo(int fd) {
    ssize_t n = read(fd, buffer, sizeof buffer);
    if (n > 0 && write(fd, buffer, n) == n) return;
    if (n < 0 && errno == EAGAIN) return;
    close(fd);
}

static void pour(int fd, uint32_t events) {
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
        close(fd);
        return;
    }
    ssize_t n = write(fd, zeros, sizeof zeros);
    if (n < 0 && errno != EAGAIN) close(fd);
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: backend NAME\n");
        return 2;
    }
    name = argv[1];
    signal(SIGPIPE, SIG_IGN);
    responseLength = snprintf(
        responses, 256,
        "HTTP/1.1 200 OK\r\nx-backend: %s\r\ncontent-type: text/plain\r\ncontent-length: 13\r\n\r\nHello, world\n", name);
    lastResponseLength = snprintf(
        lastResponse, 256, "HTTP/1.1 200 OK\r\nx-backend: %s\r\nconnection: close\r\ncontent-length: 13\r\n\r\nHello, world\n",
        name);
    for (int i = 1; i < RESPONSES; i++) memcpy(responses + i * responseLength, responses, responseLength);

    poller = epoll_create1(EPOLL_CLOEXEC);
    serve(80, LISTEN_HTTP);
    serve(7000, LISTEN_ECHO);
    serve(7001, LISTEN_SOURCE);
    for (;;) {
        struct epoll_event events[256];
        int ready = epoll_wait(poller, events, 256, -1);
        for (int i = 0; i < ready; i++) {
            int fd = (int)(uint32_t)events[i].data.u64;
            switch ((enum role)(events[i].data.u64 >> 32)) {
            case LISTEN_HTTP: acceptAll(fd, HTTP); break;
            case LISTEN_ECHO: acceptAll(fd, ECHO); break;
            case LISTEN_SOURCE: acceptAll(fd, SOURCE); break;
            case HTTP: answerHTTP(fd); break;
            case ECHO: echo(fd); break;
            case SOURCE: pour(fd, events[i].events); break;
            }
        }
    }
}
