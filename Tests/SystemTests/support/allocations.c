// Counts what a process asks of malloc, for the test of allocations: `LD_PRELOAD=… ALLOCATIONS=FILE program`. FILE is
// two 64-bit numbers, kept up to date while the program runs: allocations so far, and the bytes that they asked for.
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

// glibc's own, under the names that it exports for this.
void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);

struct counts {
    uint64_t calls, bytes;
};

// Counts of the time before the file is there are nobody's.
static struct counts early, *counts = &early;

__attribute__((constructor)) static void start(void) {
    const char *path = getenv("ALLOCATIONS");
    int file = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (file < 0 || ftruncate(file, sizeof *counts) != 0) abort();
    void *memory = mmap(NULL, sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (memory == MAP_FAILED) abort();
    close(file);
    counts = memory;
}

static void *counted(void *memory, size_t size) {
    if (memory) {
        __atomic_fetch_add(&counts->calls, 1, __ATOMIC_RELAXED);
        __atomic_fetch_add(&counts->bytes, size, __ATOMIC_RELAXED);
    }
    return memory;
}

void *malloc(size_t size) { return counted(__libc_malloc(size), size); }

void *calloc(size_t count, size_t size) { return counted(__libc_calloc(count, size), count * size); }

void *realloc(void *old, size_t size) { return counted(__libc_realloc(old, size), size); }

void *memalign(size_t alignment, size_t size) { return counted(__libc_memalign(alignment, size), size); }

void *aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }

int posix_memalign(void **memory, size_t alignment, size_t size) {
    void *made = memalign(alignment, size);
    if (!made) return ENOMEM;
    *memory = made;
    return 0;
}
