// Ends a process by SIGKILL at one of its writes, for the tests of what is left on disk then:
// `LD_PRELOAD=… DEATHS_BELOW=FOLDER DEATHS_AT=7 program` dies in place of the seventh call that changes a file below FOLDER.
// With DEATHS_TORN=1 half of what it was to write is written first.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *below;
static size_t below_length;
static uint64_t count, at;
static int torn;

#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void start(void) {
    const char *when = getenv("DEATHS_AT");
    torn = getenv("DEATHS_TORN") != NULL;
    at = when ? strtoull(when, NULL, 10) : 0;
    below = getenv("DEATHS_BELOW");
    below_length = below ? strlen(below) : 0;
}

static int is_ours(const char *path) {
    return below && path && strncmp(path, below, below_length) == 0 && path[below_length] == '/';
}

static int is_ours_open(int file) {
    char link[64], path[PATH_MAX];
    if (!below || file < 3) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return is_ours(path);
}

// Whether this is the call to die at; counts it.
static int is_due(void) { return __atomic_add_fetch(&count, 1, __ATOMIC_RELAXED) == at; }

static void die(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

#define IN_PLACE_OF(ours) \
    if ((ours) && is_due()) die()

ssize_t write(int file, const void *bytes, size_t length) {
    REAL(write);
    if (is_ours_open(file) && is_due()) {
        if (torn) real(file, bytes, length / 2);
        die();
    }
    return real(file, bytes, length);
}

ssize_t pwrite64(int file, const void *bytes, size_t length, off64_t offset) {
    REAL(pwrite64);
    if (is_ours_open(file) && is_due()) {
        if (torn) real(file, bytes, length / 2, offset);
        die();
    }
    return real(file, bytes, length, offset);
}

ssize_t pwrite(int file, const void *bytes, size_t length, off_t offset) {
    return pwrite64(file, bytes, length, offset);
}

int ftruncate64(int file, off64_t length) {
    REAL(ftruncate64);
    IN_PLACE_OF(is_ours_open(file));
    return real(file, length);
}

int ftruncate(int file, off_t length) { return ftruncate64(file, length); }

int fsync(int file) {
    REAL(fsync);
    IN_PLACE_OF(is_ours_open(file));
    return real(file);
}

int fdatasync(int file) {
    REAL(fdatasync);
    IN_PLACE_OF(is_ours_open(file));
    return real(file);
}

int rename(const char *old, const char *new) {
    REAL(rename);
    IN_PLACE_OF(is_ours(old) || is_ours(new));
    return real(old, new);
}

int unlink(const char *path) {
    REAL(unlink);
    IN_PLACE_OF(is_ours(path));
    return real(path);
}

int mkdir(const char *path, mode_t mode) {
    REAL(mkdir);
    IN_PLACE_OF(is_ours(path));
    return real(path, mode);
}

int fchmod(int file, mode_t mode) {
    REAL(fchmod);
    IN_PLACE_OF(is_ours_open(file));
    return real(file, mode);
}

int open64(const char *path, int flags, ...) {
    REAL(open64);
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    IN_PLACE_OF(flags & (O_CREAT | O_TRUNC) && is_ours(path));
    return real(path, flags, mode);
}

int open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return open64(path, flags, mode);
}
