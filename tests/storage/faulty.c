/* A layer between programs and the C library: file operations below one folder fail as a broken disk makes them fail.

   FAULTY_FOLDER: the folder. FAULTY: what fails, "flock=37,link=1" (call=errno), or "at=12,errno=28,for=3": of all
   operations that change something there, counted in FAULTY_COUNT by all processes together, the twelfth and the two
   after it; without "for" all after it. "slow=50": each takes so many milliseconds more. FAULTY_HANGS: a
   file; as long as it is there, nothing below FAULTY_FOLDER answers that is looked at or opened. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static long setting(const char *name) {
    const char *given = getenv("FAULTY");
    size_t length = strlen(name);
    for (const char *at = given; at != NULL && *at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        if (strncmp(at, name, length) == 0 && at[length] == '=')
            return atol(at + length + 1);
    return 0;
}

static int below(const char *path) {
    const char *folder = getenv("FAULTY_FOLDER");
    return folder != NULL && path != NULL && strncmp(path, folder, strlen(folder)) == 0;
}

static int is_below(int folder, const char *path) {
    char link[64], whole[8192];
    if (path != NULL && path[0] == '/')
        return below(path);
    snprintf(link, sizeof link, folder == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", folder);
    ssize_t length = readlink(link, whole, sizeof whole - 1);
    if (length < 0)
        return 0;
    whole[length] = 0;
    return below(whole);
}

/* As a network folder whose server is gone, until it is back. */
static void wait_for_server(void) {
    int (*real)(const char *, int) = dlsym(RTLD_NEXT, "access");
    const char *hangs = getenv("FAULTY_HANGS");
    while (hangs != NULL && real(hangs, F_OK) == 0)
        usleep(1000000); /* it takes next to no processor time */
}

/* Whether this one fails, with errno set. */
static int fails(const char *call) {
    long own = setting(call), first = setting("at");
    if (setting("slow"))
        usleep(setting("slow") * 1000);
    if (own) {
        errno = own;
        return 1;
    }
    if (!first)
        return 0;
    int (*real)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
    ssize_t (*put)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
    int counter = real(getenv("FAULTY_COUNT"), O_WRONLY | O_APPEND | O_CREAT, 0600);
    if (counter < 0)
        return 0;
    put(counter, call, 1);
    long count = lseek(counter, 0, SEEK_CUR), number = setting("for");
    close(counter);
    if (count < first || (number && count >= first + number))
        return 0;
    errno = setting("errno");
    return 1;
}

#define CHANGES (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC)
#define OPENS(name)                                                                                 \
    int name(const char *path, int flags, ...) {                                                    \
        va_list rest;                                                                               \
        va_start(rest, flags);                                                                      \
        int mode = va_arg(rest, int);                                                               \
        va_end(rest);                                                                               \
        if (is_below(AT_FDCWD, path))                                                               \
            wait_for_server();                                                                      \
        if ((flags & CHANGES) && is_below(AT_FDCWD, path) && fails("open"))                         \
            return -1;                                                                              \
        return ((int (*)(const char *, int, ...))dlsym(RTLD_NEXT, #name))(path, flags, mode);       \
    }
OPENS(open)
OPENS(open64)
#define OPENS_AT(name)                                                                              \
    int name(int folder, const char *path, int flags, ...) {                                        \
        va_list rest;                                                                               \
        va_start(rest, flags);                                                                      \
        int mode = va_arg(rest, int);                                                               \
        va_end(rest);                                                                               \
        if (is_below(folder, path))                                                                 \
            wait_for_server();                                                                      \
        if ((flags & CHANGES) && is_below(folder, path) && fails("open"))                           \
            return -1;                                                                              \
        return ((int (*)(int, const char *, int, ...))dlsym(RTLD_NEXT, #name))(folder, path, flags, mode); \
    }
OPENS_AT(openat)
OPENS_AT(openat64)

#define LOOKS(name, kind)                                                                           \
    int name(const char *path, struct kind *found) {                                                \
        if (is_below(AT_FDCWD, path))                                                               \
            wait_for_server();                                                                      \
        return ((int (*)(const char *, struct kind *))dlsym(RTLD_NEXT, #name))(path, found);        \
    }
LOOKS(stat, stat)
LOOKS(stat64, stat64)
LOOKS(lstat, stat)
LOOKS(lstat64, stat64)
DIR *opendir(const char *path) {
    if (is_below(AT_FDCWD, path))
        wait_for_server();
    return ((DIR * (*)(const char *)) dlsym(RTLD_NEXT, "opendir"))(path);
}

ssize_t write(int file, const void *data, size_t size) {
    if (is_below(file, NULL) && fails("write"))
        return -1;
    return ((ssize_t(*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write"))(file, data, size);
}
int fsync(int file) {
    if (is_below(file, NULL) && fails("fsync"))
        return -1;
    return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(file);
}
int flock(int file, int how) {
    if (is_below(file, NULL) && setting("flock")) {
        errno = setting("flock");
        return -1;
    }
    return ((int (*)(int, int))dlsym(RTLD_NEXT, "flock"))(file, how);
}
int mkdir(const char *path, mode_t mode) {
    if (is_below(AT_FDCWD, path) && fails("mkdir"))
        return -1;
    return ((int (*)(const char *, mode_t))dlsym(RTLD_NEXT, "mkdir"))(path, mode);
}
int rename(const char *from, const char *to) {
    if (is_below(AT_FDCWD, to) && fails("rename"))
        return -1;
    return ((int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename"))(from, to);
}
int link(const char *from, const char *to) {
    if (is_below(AT_FDCWD, to) && fails("link"))
        return -1;
    return ((int (*)(const char *, const char *))dlsym(RTLD_NEXT, "link"))(from, to);
}
int linkat(int one, const char *from, int other, const char *to, int flags) {
    if (is_below(other, to) && fails("link"))
        return -1;
    return ((int (*)(int, const char *, int, const char *, int))dlsym(RTLD_NEXT, "linkat"))(one, from, other, to, flags);
}
int chmod(const char *path, mode_t mode) {
    if (is_below(AT_FDCWD, path) && setting("chmod")) {
        errno = (int)setting("chmod");
        return -1;
    }
    return ((int (*)(const char *, mode_t))dlsym(RTLD_NEXT, "chmod"))(path, mode);
}
