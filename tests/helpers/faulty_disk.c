/* Loaded before libc: lets the k-th call that changes the disk fail, or kills the process there.
 *
 * Calls are counted from `faulty_disk_arm` on, in this process only: open for writing, write and
 * sendfile, fsync, rename, mkdir, symlink, unlink and rmdir. What is to happen at the k-th:
 *   'e'  it fails with the given errno, once
 *   'f'  it and all later ones that take space fail with ENOSPC; rename, unlink and rmdir work
 *   'k'  the process is killed before it
 * A write that fails on a full disk leaves half of its bytes, as real ones do.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static char mode = 0;
static int error_number = 0;
static long deadly = 0, calls = 0;

void faulty_disk_arm(char how, int number, long at) {
    mode = how;
    error_number = number;
    deadly = at;
    calls = 0;
}

long faulty_disk_calls(void) { return calls; }

/* Whether this call fails; `space` says whether it takes any. */
static int fails(int space) {
    if (!mode) return 0;
    calls++;
    if (mode == 'k' && calls == deadly) kill(getpid(), SIGKILL);
    if (mode == 'e' && calls == deadly) {
        errno = error_number;
        return 1;
    }
    if (mode == 'f' && space && calls >= deadly) {
        errno = ENOSPC;
        return 1;
    }
    return 0;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define OPEN(name)                                                  \
    int name(const char *path, int flags, ...) {                    \
        va_list list;                                               \
        va_start(list, flags);                                      \
        mode_t rights = (flags & O_CREAT) ? va_arg(list, mode_t) : 0; \
        va_end(list);                                               \
        if ((flags & O_CREAT) && fails(1)) return -1;               \
        return REAL(name)(path, flags, rights);                     \
    }
OPEN(open)
OPEN(open64)

ssize_t write(int file, const void *data, size_t count) {
    if (file > 2 && fails(1)) {
        if (mode == 'f' && count > 1) (void)!REAL(write)(file, data, count / 2);
        errno = mode == 'f' ? ENOSPC : error_number;
        return -1;
    }
    return REAL(write)(file, data, count);
}

#define SENDFILE(name, type)                                        \
    ssize_t name(int out, int in, type *offset, size_t count) {     \
        return fails(1) ? -1 : REAL(name)(out, in, offset, count);  \
    }
ssize_t sendfile(int, int, off_t *, size_t);
ssize_t sendfile64(int, int, off64_t *, size_t);
SENDFILE(sendfile, off_t)
SENDFILE(sendfile64, off64_t)

int fsync(int file) { return fails(0) ? -1 : REAL(fsync)(file); }
int rename(const char *from, const char *to) { return fails(0) ? -1 : REAL(rename)(from, to); }
int renameat(int a, const char *from, int b, const char *to) {
    return fails(0) ? -1 : REAL(renameat)(a, from, b, to);
}
int mkdir(const char *path, mode_t rights) { return fails(1) ? -1 : REAL(mkdir)(path, rights); }
int symlink(const char *target, const char *path) {
    return fails(1) ? -1 : REAL(symlink)(target, path);
}
int unlink(const char *path) { return fails(0) ? -1 : REAL(unlink)(path); }
int unlinkat(int folder, const char *path, int flags) {
    return fails(0) ? -1 : REAL(unlinkat)(folder, path, flags);
}
int rmdir(const char *path) { return fails(0) ? -1 : REAL(rmdir)(path); }
