/* Loaded before libc: notes every write, truncation, sync and removal of the store's files and every byte sent, in one order, and fails
 * or delays syncs when told to.
 *
 * SHIM_FILES: what their paths begin with. SHIM_LOG: where the notes go (see disk.py). SHIM_FAULTS: a file of two 32-bit numbers,
 * read at each sync: the errno it fails with (0: none), and how long it takes, in ms.
 *
 * Law: a note is made while nothing else of the process writes, syncs or sends: after what succeeded, before what is sent.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define REAL(type, name, ...) static type (*real_##name)(__VA_ARGS__)
REAL(ssize_t, pwrite64, int, const void *, size_t, off64_t);
REAL(ssize_t, write, int, const void *, size_t);
REAL(ssize_t, writev, int, const struct iovec *, int);
REAL(ssize_t, send, int, const void *, size_t, int);
REAL(ssize_t, sendmsg, int, const struct msghdr *, int);
REAL(int, fdatasync, int);
REAL(int, fsync, int);
REAL(int, ftruncate64, int, off64_t);
REAL(int, unlink, const char *);

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
static int notes = -1;
static const char *files;
static volatile int32_t *faults;

__attribute__((constructor)) static void begin(void) {
#define FIND(name) real_##name = dlsym(RTLD_NEXT, #name)
    FIND(pwrite64); FIND(write); FIND(writev); FIND(send); FIND(sendmsg); FIND(fdatasync); FIND(fsync); FIND(ftruncate64); FIND(unlink);
    files = getenv("SHIM_FILES");
    if (getenv("SHIM_LOG")) notes = open(getenv("SHIM_LOG"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    int told = getenv("SHIM_FAULTS") ? open(getenv("SHIM_FAULTS"), O_RDONLY | O_CLOEXEC) : -1;
    if (told >= 0) {
        void *seen = mmap(NULL, 8, PROT_READ, MAP_SHARED, told, 0);
        faults = seen == MAP_FAILED ? NULL : seen;
    }
}

/* Where fd leads, if that is of interest. */
static int leads_to(int fd, const char *beginning, char *path, size_t room) {
    char link[32];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, room - 1);
    if (length < 0 || !beginning) return 0;
    path[length] = 0;
    return strncmp(path, beginning, strlen(beginning)) == 0;
}

static void note(char kind, const char *path, uint64_t offset, const struct iovec *parts, int count, size_t size) {
    struct { uint64_t offset; uint32_t size; uint16_t named; char kind; char none; } head = {offset, size, strlen(path), kind, 0};
    real_write(notes, &head, sizeof head);
    real_write(notes, path, head.named);
    for (int i = 0; i < count && size; i++) {
        size_t some = parts[i].iov_len < size ? parts[i].iov_len : size;
        real_write(notes, parts[i].iov_base, some);
        size -= some;
    }
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
    char path[512];
    if (notes < 0 || !leads_to(fd, files, path, sizeof path)) return real_pwrite64(fd, data, size, offset);
    pthread_mutex_lock(&one_at_a_time);
    ssize_t written = real_pwrite64(fd, data, size, offset);
    int error = errno;
    struct iovec part = {(void *)data, size};
    if (written > 0) note('W', path, offset, &part, 1, written);
    pthread_mutex_unlock(&one_at_a_time);
    errno = error;
    return written;
}

int ftruncate64(int fd, off64_t size) {
    char path[512];
    if (notes < 0 || !leads_to(fd, files, path, sizeof path)) return real_ftruncate64(fd, size);
    pthread_mutex_lock(&one_at_a_time);
    int result = real_ftruncate64(fd, size);
    int error = errno;
    if (result == 0) note('T', path, size, NULL, 0, 0);
    pthread_mutex_unlock(&one_at_a_time);
    errno = error;
    return result;
}

int unlink(const char *path) {
    if (notes < 0 || !files || strncmp(path, files, strlen(files))) return real_unlink(path);
    pthread_mutex_lock(&one_at_a_time);
    int result = real_unlink(path);
    int error = errno;
    if (result == 0) note('U', path, 0, NULL, 0, 0);
    pthread_mutex_unlock(&one_at_a_time);
    errno = error;
    return result;
}

static int synced(int fd, int (*how)(int)) {
    char path[512];
    if (!leads_to(fd, files, path, sizeof path)) return how(fd);
    if (faults && faults[1]) {
        struct timespec pause = {faults[1] / 1000, (faults[1] % 1000) * 1000000L};
        nanosleep(&pause, NULL);
    }
    if (faults && faults[0]) {
        errno = faults[0];
        return -1;
    }
    if (notes < 0) return how(fd);
    pthread_mutex_lock(&one_at_a_time);
    int result = how(fd);
    int error = errno;
    if (result == 0) note('S', path, 0, NULL, 0, 0);
    pthread_mutex_unlock(&one_at_a_time);
    errno = error;
    return result;
}

int fdatasync(int fd) { return synced(fd, real_fdatasync); }
int fsync(int fd) { return synced(fd, real_fsync); }

static void note_sent(int fd, const struct iovec *parts, int count) {
    char path[512];
    if (notes < 0 || fd == notes || !leads_to(fd, "socket:", path, sizeof path)) return;
    size_t size = 0;
    for (int i = 0; i < count; i++) size += parts[i].iov_len;
    pthread_mutex_lock(&one_at_a_time);
    note('A', path, 0, parts, count, size);
    pthread_mutex_unlock(&one_at_a_time);
}

ssize_t write(int fd, const void *data, size_t size) {
    struct iovec part = {(void *)data, size};
    note_sent(fd, &part, 1);
    return real_write(fd, data, size);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    note_sent(fd, parts, count);
    return real_writev(fd, parts, count);
}

ssize_t send(int fd, const void *data, size_t size, int flags) {
    struct iovec part = {(void *)data, size};
    note_sent(fd, &part, 1);
    return real_send(fd, data, size, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
    note_sent(fd, message->msg_iov, message->msg_iovlen);
    return real_sendmsg(fd, message, flags);
}
