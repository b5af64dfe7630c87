// A library with the calls of Clarius Cast 12 that edgerecon uses, in place of the maker's, for one test.
//
// It sends six images of 8×6 pixels: their grey level is their number, the fourth comes two periods late, the fifth is in
// colour, the sixth states too few bytes. Then the connection is lost; each further one sends six more.
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    int width, height, bitsPerPixel, imageSize;
    double micronsPerPixel, originX, originY;
    long long int tm;
    double angle, fps;
    int overlay, format;
    struct { double depth, gain; } tgc[10];
} CusProcessedImageInfo;

typedef void (*ImageFn)(const void* image, const CusProcessedImageInfo* info, int positions, const void* position);
typedef void (*ConnectFn)(int port, int swRevMatch);
typedef void (*ErrorFn)(const char* message);

static ImageFn new_image;
static ErrorFn complain;
static ConnectFn connected;
static volatile int is_connected;
static long long clock_ns;
static pthread_t sender;
static int has_sender;

static void* send_images(void* unused) {
    connected(50000, 0);
    for (int number = 1; number <= 6; ++number) {
        unsigned char pixels[8 * 6 * 4];
        CusProcessedImageInfo info = {8, 6, number == 5 ? 32 : 8, 8 * 6, 250.0, 0, 0, 0, 0, 20.0, 0, 1, {{0, 0}}};
        clock_ns += number == 4 ? 100000000 : 50000000;
        info.tm = clock_ns;
        memset(pixels, number, sizeof pixels);
        if (number == 5) {
            info.imageSize = sizeof pixels;
            for (int at = 0; at < 8 * 6; ++at) memcpy(pixels + 4 * at, "\x0a\x14\x1e\xff", 4);  // blue, green, red, alpha
        }
        if (number == 6) info.imageSize = 7;
        new_image(pixels, &info, 0, 0);
        memset(pixels, 0, sizeof pixels);
        usleep(30000);
    }
    is_connected = 0;
    return unused;
}

int cusCastInit(int argc, char** argv, const char* dir, ImageFn image, void* raw, void* spectral, void* imu, void* freeze,
                void* button, void* progress, ErrorFn error, int width, int height) {
    if (argc || argv || !dir || raw || spectral || imu || freeze || button || progress) return -1;
    if (width != 640 || height != 480) return -1;
    new_image = image;
    complain = error;
    return 0;
}
int cusCastSetOutputSize(int width, int height) { return width > 0 && height > 0 ? 0 : -1; }
int cusCastConnect(const char* host, unsigned int port, const char* certificate, ConnectFn fn) {
    if (strcmp(certificate, "research")) return -1;
    if (port == 1) {
        complain("the scanner refused the connection");
        return -1;
    }
    if (has_sender) pthread_join(sender, 0);
    connected = fn;
    is_connected = 1;
    has_sender = !pthread_create(&sender, 0, send_images, 0);
    return has_sender && host ? 0 : -1;
}
int cusCastIsConnected(void) { return is_connected; }
int cusCastDisconnect(void* fn) { return fn ? -1 : 0; }
int cusCastDestroy(void) {
    if (has_sender) pthread_join(sender, 0);
    has_sender = 0;
    return 0;
}
#ifndef OLD
int cusCastAddImageOverlay(int id) { return id; }
#endif
