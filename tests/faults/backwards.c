/* Clocks that go back: in front of the C library by LD_PRELOAD. Each reading is off by up to so many seconds as BACKWARDS says, now and
 * then by another amount. At the end the number of readings is added to the file that BACKWARDS_COUNT names. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static int (*real)(clockid_t, struct timespec *);
static unsigned long readings;
static unsigned state = 12345;
static long offset;

int clock_gettime(clockid_t clock, struct timespec *time) {
    if (!real)
        real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int status = real(clock, time);
    if (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC)
        return status;
    const char *most = getenv("BACKWARDS");
    __atomic_add_fetch(&readings, 1, __ATOMIC_RELAXED);
    state = state * 1103515245u + 12345u;
    if (most && (state >> 16) % 3 == 0)
        offset = (long)((state >> 8) % (unsigned)(atoi(most) + 1));
    time->tv_sec -= offset;
    if (time->tv_sec < 0)
        time->tv_sec = 0;
    return status;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    struct timespec now;
    (void)zone;
    int status = clock_gettime(CLOCK_REALTIME, &now);
    time->tv_sec = now.tv_sec;
    time->tv_usec = now.tv_nsec / 1000;
    return status;
}

time_t time(time_t *place) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (place)
        *place = now.tv_sec;
    return now.tv_sec;
}

__attribute__((destructor)) static void tell(void) {
    const char *path = getenv("BACKWARDS_COUNT");
    FILE *file = path ? fopen(path, "a") : NULL;
    if (file) {
        fprintf(file, "%lu\n", readings);
        fclose(file);
    }
}
