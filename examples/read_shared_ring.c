/* Reads the frames that `edgerecon stream … --sink shm://NAME` shows, and prints the mean of each.
   cc -O2 -o read_shared_ring read_shared_ring.c && ./read_shared_ring NAME [FRAMES]
   The layout is described in docs/stream/scanners.md. */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv) {
    char path[256];
    snprintf(path, sizeof path, "/dev/shm/%s", argc > 1 ? argv[1] : "edgerecon");
    int file = open(path, O_RDONLY);
    struct stat size;
    if (file < 0 || fstat(file, &size)) return perror(path), 1;
    const uint8_t *ring = mmap(NULL, size.st_size, PROT_READ, MAP_SHARED, file, 0);
    if (ring == MAP_FAILED) return perror("mmap"), 1;
    uint64_t slots = *(uint32_t *)(ring + 8), slot_bytes = *(uint64_t *)(ring + 16);
    uint64_t wanted = argc > 2 ? strtoull(argv[2], NULL, 10) : UINT64_MAX, seen = 0, next = 0;

    while (seen < wanted && (*(_Atomic uint64_t *)(ring + 32) == 0 || next < *(_Atomic uint64_t *)(ring + 24))) {
        uint64_t written = *(_Atomic uint64_t *)(ring + 24);
        if (next >= written) { usleep(1000); continue; }
        if (written - next >= slots) next = written - 1; /* too slow: go on with the newest */
        const uint8_t *slot = ring + 64 + next % slots * slot_bytes;
        const uint32_t *shape = (const uint32_t *)(slot + 16); /* height, width, channels, type (1: uint8) */
        uint64_t bytes = (uint64_t)shape[0] * shape[1] * shape[2], sum = 0;
        for (uint64_t i = 0; i < bytes && bytes <= slot_bytes - 64; i++) sum += slot[64 + i];
        if (*(_Atomic uint64_t *)slot == 2 * next + 2 && bytes) /* else it was overwritten while we read */
            printf("frame %llu: %ux%u, mean %.1f\n", (unsigned long long)next, shape[1], shape[0], (double)sum / bytes), seen++;
        next++;
    }
    return 0;
}
