/* Classifies a sound with a network that Carousel trained and exported, in plain C99:
 *
 *     carousel train clips --out runs/clips                        clips: a folder of sounds for each class
 *     carousel export runs/clips --to c --out firmware
 *     cc -O2 -DRATE=16000 -Ifirmware examples/sound/classify.c firmware/model.c -lm -o classify
 *     ./classify sound.wav bird dog                                the classes as firmware/model.json lists them
 *
 * RATE is the "rate" of firmware/model.json, and the WAV file must have it, with samples of 16 bits. The program reads
 * one frame after another, as a microphone would give them: all that it keeps is the state of the network and one window
 * of samples. The log-mel energies of a frame are those of carousel.models.LogMel.
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"

#ifndef RATE
#define RATE 16000
#endif

enum {
    BANDS = MODEL_INPUT,
    WINDOW = (RATE * 25 + 500) / 1000, /* samples of a frame, 25 ms */
    HOP = (RATE * 10 + 500) / 1000,    /* from one frame to the next, 10 ms */
    LARGEST = 1 << 16                  /* of a Fourier transform */
};

static const double LOWEST = 20.0; /* Hz, where the first band begins */
static const double FLOOR = 1e-6;  /* added to every energy */
static const double PI = 3.14159265358979323846;

/* The power of two that is at least twice a window. */
static int transform_size(void)
{
    int size = 1;
    while (size < 2 * WINDOW)
        size *= 2;
    return size;
}

/* The discrete Fourier transform of count numbers, count a power of two, in place (Cooley and Tukey 1965). */
static void transform(double *re, double *im, int count)
{
    int i, j = 0, k, width, start;
    for (i = 1; i < count; i++) {
        int bit = count >> 1;
        for (; j & bit; bit >>= 1)
            j ^= bit;
        j ^= bit;
        if (i < j) {
            double t = re[i];
            re[i] = re[j];
            re[j] = t;
            t = im[i];
            im[i] = im[j];
            im[j] = t;
        }
    }
    for (width = 2; width <= count; width *= 2)
        for (k = 0; k < width / 2; k++) {
            const double c = cos(-2 * PI * k / width), s = sin(-2 * PI * k / width);
            for (start = k; start < count; start += width) {
                const int other = start + width / 2;
                const double a = c * re[other] - s * im[other], b = c * im[other] + s * re[other];
                re[other] = re[start] - a;
                im[other] = im[start] - b;
                re[start] += a;
                im[start] += b;
            }
        }
}

static double mel(double frequency)
{
    return 2595 * log10(1 + frequency / 700);
}

/* The frequency at point k of BANDS + 2, at equal distances in mel. */
static double point(int k)
{
    const double low = mel(LOWEST), high = mel(RATE / 2.0);
    return 700 * (pow(10, (low + (high - low) * k / (BANDS + 1)) / 2595) - 1);
}

/* The log-mel energies of one window of samples. */
static void log_mel(const float *samples, float *energies)
{
    static double re[LARGEST], im[LARGEST];
    const int size = transform_size();
    int n, band;
    memset(re, 0, sizeof re);
    memset(im, 0, sizeof im);
    for (n = 0; n < WINDOW; n++)
        re[n] = (0.5 - 0.5 * cos(2 * PI * n / WINDOW)) * (double)samples[n];
    transform(re, im, size);
    for (band = 0; band < BANDS; band++) {
        const double from = point(band), top = point(band + 1), to = point(band + 2);
        double energy = 0;
        for (n = 0; n <= size / 2; n++) {
            const double frequency = (double)n * RATE / size;
            const double weight = fmin((frequency - from) / (top - from), (to - frequency) / (to - top));
            if (weight > 0)
                energy += weight * (re[n] * re[n] + im[n] * im[n]);
        }
        energies[band] = (float)log(energy + FLOOR);
    }
}

static uint32_t little_endian(const unsigned char *bytes, int count)
{
    uint32_t value = 0;
    while (count-- > 0)
        value = value << 8 | bytes[count];
    return value;
}

static void refuse(const char *name, const char *why)
{
    fprintf(stderr, "%s: %s\n", name, why);
    exit(1);
}

/* Goes to the samples of a WAV file. Returns how many channels there are. */
static int open_sound(FILE *file, const char *name)
{
    unsigned char head[16];
    uint32_t size;
    int channels = 0;
    if (fread(head, 1, 12, file) != 12 || memcmp(head, "RIFF", 4) != 0 || memcmp(head + 8, "WAVE", 4) != 0)
        refuse(name, "this is no WAV file");
    while (fread(head, 1, 8, file) == 8) {
        size = little_endian(head + 4, 4);
        if (memcmp(head, "data", 4) == 0 && channels > 0)
            return channels;
        if (memcmp(head, "fmt ", 4) == 0) {
            if (size < 16 || fread(head, 1, 16, file) != 16)
                refuse(name, "its format is cut off");
            channels = (int)little_endian(head + 2, 2);
            if (little_endian(head + 4, 4) != RATE || little_endian(head + 14, 2) != 16)
                refuse(name, "it must have RATE samples a second, of 16 bits");
            size -= 16;
        }
        if (size > 0x7ffffffe || fseek(file, (long)(size + (size & 1)), SEEK_CUR) != 0)
            break;
    }
    refuse(name, "it has no samples");
    return 0;
}

/* Up to count samples, the mean of the channels each. Returns how many there were. */
static int next_samples(FILE *file, int channels, float *samples, int count)
{
    unsigned char bytes[2];
    int n, channel;
    for (n = 0; n < count; n++) {
        float total = 0;
        for (channel = 0; channel < channels; channel++) {
            if (fread(bytes, 1, 2, file) != 2)
                return n;
            total += (float)(int16_t)little_endian(bytes, 2) / 32768.0f;
        }
        samples[n] = total / (float)channels;
    }
    return n;
}

int main(int count, char **words)
{
    static float window[WINDOW];
    float energies[BANDS], probabilities[MODEL_OUTPUT];
    model_state state;
    FILE *file;
    int channels, k, found;
    if (count < 2 || transform_size() > LARGEST || (file = fopen(words[1], "rb")) == NULL) {
        fprintf(stderr, "usage: classify sound.wav [name of each class]\n");
        return 1;
    }
    channels = open_sound(file, words[1]);
    model_reset(&state);
    next_samples(file, channels, window, WINDOW); /* a sound shorter than a window has silence behind it */
    do {
        log_mel(window, energies);
        model_step(&state, energies, probabilities);
        memmove(window, window + HOP, (WINDOW - HOP) * sizeof *window);
        found = next_samples(file, channels, window + WINDOW - HOP, HOP);
    } while (found == HOP);
    fclose(file);
    for (k = 0; k < MODEL_OUTPUT; k++)
        printf("%s %.6f\n", k + 2 < count ? words[k + 2] : "class", (double)probabilities[k]);
    return 0;
}
