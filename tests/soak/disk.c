/* A disk that remembers, to be put under a process with LD_PRELOAD: what it writes to files below DISK_FOLDER, and
 * what of that it has the kernel make sure of, is noted in DISK_RECORD. Notes of all processes stand there in the
 * order in which things happened: a write is noted when it is done, and an fsync when it is done, with how long the
 * record was when it began; so it is sure of no more than it may be.
 *
 * A note is a `struct note`, a file's name, and what was written. SQLite's shared memory (-shm) is no file of
 * interest: it is made anew after a crash.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct note {
    char kind[8]; /* create, write, cut, sync, names, rename, remove */
    uint64_t inode, offset, length;
    uint64_t name, data; /* how many bytes of each follow */
};

enum { MOST_FILES = 65536 };
static char watched[MOST_FILES]; /* by descriptor: 1 a file, 2 a folder */
static int record = -1;
static const char *folder;

#define REAL(type, name, ...) \
    static type (*real)(__VA_ARGS__); \
    if (!real) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

static ssize_t plain_write(int fd, const void *data, size_t size) {
    REAL(ssize_t, "write", int, const void *, size_t);
    return real(fd, data, size);
}

static int plain_open(const char *path, int flags, mode_t mode) {
    REAL(int, "open", const char *, int, ...);
    return real(path, flags, mode);
}

static int is_ready(void) {
    if (record == -1) {
        folder = getenv("DISK_FOLDER");
        const char *file = getenv("DISK_RECORD");
        record = folder && file ? plain_open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -2;
    }
    return record >= 0;
}

/* The name below the folder, "" for the folder, or NULL for what is of no interest. */
static const char *below(const char *path) {
    if (!is_ready()) return NULL;
    size_t size = strlen(folder), length = strlen(path);
    if (strncmp(path, folder, size) || (path[size] && path[size] != '/')) return NULL;
    if (length > 4 && !strcmp(path + length - 4, "-shm")) return NULL;
    return path[size] ? path + size + 1 : "";
}

static uint64_t inode_of(int fd) {
    struct stat found;
    return fstat(fd, &found) ? 0 : found.st_ino;
}

static void put(const char *kind, uint64_t inode, uint64_t offset, uint64_t length, const char *name,
                const void *data, size_t size) {
    int error = errno;
    struct note head = {{0}, inode, offset, length, strlen(name), size};
    memcpy(head.kind, kind, strlen(kind));
    size_t total = sizeof head + head.name + size;
    char *whole = malloc(total);
    memcpy(whole, &head, sizeof head);
    memcpy(whole + sizeof head, name, head.name);
    memcpy(whole + sizeof head + head.name, data, size);
    if (plain_write(record, whole, total) != (ssize_t)total) abort();
    free(whole);
    errno = error;
}

static int is_watched(int fd) { return fd >= 0 && fd < MOST_FILES && watched[fd]; }

static int opened(const char *path, int flags, mode_t mode) {
    const char *name = below(path);
    int is_new = name && access(path, F_OK);
    int fd = plain_open(path, flags, mode);
    if (fd < 0 || fd >= MOST_FILES) return fd;
    watched[fd] = 0;
    if (!name) return fd;
    struct stat found;
    watched[fd] = !fstat(fd, &found) && S_ISDIR(found.st_mode) ? 2 : 1;
    if (is_new) put("create", inode_of(fd), 0, 0, name, "", 0);
    if (!is_new && flags & O_TRUNC) put("cut", inode_of(fd), 0, 0, name, "", 0);
    return fd;
}

#define MODE(flags, mode) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | O_TMPFILE)) { \
        va_list more; \
        va_start(more, flags); \
        mode = va_arg(more, mode_t); \
        va_end(more); \
    }

int open(const char *path, int flags, ...) {
    MODE(flags, mode)
    return opened(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    MODE(flags, mode)
    return opened(path, flags | O_LARGEFILE, mode);
}

static ssize_t written(int fd, const void *data, uint64_t offset, ssize_t done) {
    if (done > 0) put("write", inode_of(fd), offset, done, "", data, done);
    return done;
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
    REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
    ssize_t done = real(fd, data, size, offset);
    return is_watched(fd) ? written(fd, data, offset, done) : done;
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) { return pwrite64(fd, data, size, offset); }

ssize_t write(int fd, const void *data, size_t size) {
    ssize_t done = plain_write(fd, data, size);
    if (!is_watched(fd) || done <= 0) return done;
    return written(fd, data, lseek(fd, 0, SEEK_CUR) - done, done);
}

int ftruncate64(int fd, off64_t length) {
    REAL(int, "ftruncate64", int, off64_t);
    int done = real(fd, length);
    if (!done && is_watched(fd)) put("cut", inode_of(fd), 0, length, "", "", 0);
    return done;
}

int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

static int synced(int fd, int (*sync)(int)) {
    struct stat before;
    if (!is_watched(fd) || fstat(record, &before)) return sync(fd);
    int done = sync(fd);
    const char *kind = watched[fd] == 2 ? "names" : "sync";
    if (!done) put(kind, inode_of(fd), before.st_size, 0, "", "", 0);
    return done;
}

int fsync(int fd) {
    REAL(int, "fsync", int);
    return synced(fd, real);
}

int fdatasync(int fd) {
    REAL(int, "fdatasync", int);
    return synced(fd, real);
}

int unlink(const char *path) {
    REAL(int, "unlink", const char *);
    const char *name = below(path);
    int done = real(path);
    if (!done && name) put("remove", 0, 0, 0, name, "", 0);
    return done;
}

int rename(const char *from, const char *to) {
    REAL(int, "rename", const char *, const char *);
    const char *old = below(from), *new = below(to);
    int done = real(from, to);
    if (!done && old && new) put("rename", 0, 0, 0, old, new, strlen(new));
    return done;
}

int close(int fd) {
    REAL(int, "close", int);
    if (fd == record) return 0; /* somebody who closes all there are */
    if (fd >= 0 && fd < MOST_FILES) watched[fd] = 0;
    return real(fd);
}
