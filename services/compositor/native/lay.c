// A material laid over a surface: texture in perspective, filtered, lit and blended, in one pass over the pixels.
//
// What it computes is defined by services/compositor/domain/reference.py, to within one level of 255. Numbers are
// 16-bit: a texel's 65535 is albedo 1, a gain's 8192 is the light that makes white white, a tint's 32768 is 1.

#include <math.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#define BLOCK 16    // pixels of a row that share one footprint
#define ROWS 8      // that a thread takes at once
#define TAPS 4      // at most, along the long side of a footprint
#define REPEAT 20   // bits of a coordinate within one repeat of the texture
#define FAR 1000    // repeats; farther than anybody sees
#define SHOWN 16384 // entries of the table of what light looks like; 4096 is white

typedef uint16_t Wide __attribute__((vector_size(16)));  // two texels: red, green, blue, nothing, twice
typedef uint32_t Wider __attribute__((vector_size(32)));
typedef uint16_t Square __attribute__((vector_size(32)));  // two texels, and the two below them
typedef uint32_t Line __attribute__((vector_size(64)));    // of each pixel of a block

// Texels in linear light, (height + 1) rows of (width + 1), the last of each the same as the first.
typedef struct {
    const uint16_t *texels;
    uint32_t width, height;
    uint32_t half_x, half_y;  // of a texel, in parts of the texture's repeat
} Level;

typedef struct {
    uint8_t *out;           // the picture, sRGB, three bytes a pixel
    int64_t stride;         // bytes from row to row
    int32_t x, y, width;    // the box in the picture
    const uint8_t *alpha;   // of the box
    const int32_t *spans;   // first and last + 1 column of each row that alpha is not 0 in
    const uint16_t *gain;   // of the box
    const float *footprints; // for each block of each row: the long axis (x, y), its length, and the short one's; metres
    double plane[9];        // from straight pixels of the box to metres
    double lens[3];         // its middle, and its k: roomviz/imaging/lens.py
    float turn[4];          // from metres to metres along the pattern
    float repeat[2];        // metres
    const Level *levels;
    int32_t level_count;
    uint16_t tint[4];
    const uint8_t *shown;   // sRGB of light
    const float *shown_linear;
    const float *linear;    // of an sRGB value
    const uint8_t *srgb;    // of a linear value, 4095 is 1
    // Where the material is laid in pieces, its face in place of the texture; else null.
    const int32_t *entry;   // for each block of each row: which of the blocks that pieces meet in; -1: one piece alone
    const float *frames;    // for each block of each row: from metres on the plane to metres on the face, 2 x 2, plus 2
    const int32_t *first;   // for each block that pieces meet in: its first tap, up to the next one's
    const uint16_t *taps;   // where on the face, 65536 is its width and height: x of each pixel of the block, then y
    const uint16_t *shares; // for each block that pieces meet in: of the face for each pixel, then of the grout; 32768 is 1
    uint16_t grout[4];      // linear
    const uint16_t *sheen;  // light to add, four numbers a point, in units of the table; a point every 1 << sheen_shift
    int32_t sheen_shift, sheen_columns;
    const uint8_t *sides;   // sRGB on both sides of the edge, eight numbers a cell: the old surface, whether they are known, what stands before it
    int32_t sides_rows, sides_columns;
    int32_t above, whole;   // the first point and cell are so many rows above the box; rows that the cells cover
    int32_t height;         // rows of the box
    const uint8_t *photo;   // what the first layer was laid over, as `out`
    uint8_t *covered;       // how much of each of the picture's pixels layers have taken; null: this one is the only one
    int64_t photo_stride, covered_stride;
    _Atomic int32_t taken;  // rows of the box, by the threads that work on it
} Job;

static inline Wide high(Wide a, Wide b) {
    Wider product = __builtin_convertvector(a, Wider) * __builtin_convertvector(b, Wider);
    return __builtin_convertvector(product >> 16, Wide);
}

static inline Wide all(uint16_t v) { return (Wide){v, v, v, v, v, v, v, v}; }

// Four shares, each for the four numbers of its texel.
static inline Square quarters(uint64_t shares) {
    Square v = (Square)(__attribute__((vector_size(32))) uint64_t){shares, shares, shares, shares};
    return __builtin_shufflevector(v, v, 0, 0, 0, 0, 1, 1, 1, 1, 10, 10, 10, 10, 11, 11, 11, 11);
}

// One texture level at a block's places, bilinear, times `share`, added to what is there.
static inline __attribute__((always_inline)) void sample(const Level *level, Line u, Line v, uint32_t share, Square *sum) {
    const uint32_t w = level->width, mask = (1u << REPEAT) - 1;
    Line a = ((u - level->half_x) & mask) * w, b = ((v - level->half_y) & mask) * level->height;
    Line right = a >> (REPEAT - 16) & 0xFFFF, down = b >> (REPEAT - 16) & 0xFFFF;
    Line low = down * share >> 16, high = share - low;
    Line low_right = low * right >> 16, high_right = high * right >> 16;
    high = (high - high_right) | high_right << 16, low = (low - low_right) | low_right << 16;
    // A pixel's shares of four texels, from the lowest bits: left and right above, left and right below.
    const union { Line lines[2]; uint64_t of[BLOCK]; } shares = {{
        __builtin_shufflevector(high, low, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23),
        __builtin_shufflevector(high, low, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31),
    }};
    union { Line line; uint32_t of[BLOCK]; } at = {((b >> REPEAT) * (w + 1) + (a >> REPEAT)) * 4};
    // Else the compiler works these out again one by one, which takes longer than reading them.
    __asm__("" : "+m"(at));
    const uint16_t *above = level->texels, *below = above + (w + 1) * 4;
#pragma clang loop unroll(full)
    for (int i = 0; i < BLOCK; i++) {
        union { Wide rows[2]; Square all; } texels;
        memcpy(&texels.rows[0], above + at.of[i], sizeof(Wide));
        memcpy(&texels.rows[1], below + at.of[i], sizeof(Wide));
        Line product = __builtin_convertvector(texels.all, Line) * __builtin_convertvector(quarters(shares.of[i]), Line);
        sum[i] += __builtin_convertvector(product >> 16, Square);
    }
}

static inline void add_rows(const Square *squares, Wide *sum) {
    for (int i = 0; i < BLOCK; i++) {
        union { Square all; Wide rows[2]; } texels = {squares[i]};
        sum[i] = texels.rows[0] + texels.rows[1];
    }
}

typedef uint32_t Quad __attribute__((vector_size(16)));
typedef uint16_t Mirrored[BLOCK][4];

static inline Quad point(const uint16_t *at) {
    uint16_t four __attribute__((vector_size(8)));
    memcpy(&four, at, sizeof four);
    return __builtin_convertvector(four, Quad);
}

// What a block's pixels mirror, bilinear between the points around them.
static void mirror(const Job *job, int32_t x, int32_t y, Mirrored out) {
    const int shift = job->sheen_shift, step = 1 << shift, row = y + job->above, down = row & (step - 1);
    const uint16_t *above = job->sheen + (int64_t)(row >> shift) * job->sheen_columns * 4;
    const uint16_t *below = above + (int64_t)job->sheen_columns * 4;
    Quad left, right = (Quad){0, 0, 0, 0};
    int32_t at = -2;  // the column of `left`
    for (int i = 0; i < BLOCK; i++) {
        int32_t column = (x + i) >> shift;
        if (column > job->sheen_columns - 2) column = job->sheen_columns - 2;
        if (column != at) {
            left = column == at + 1 ? right : point(above + column * 4) * (step - down) + point(below + column * 4) * down;
            right = point(above + column * 4 + 4) * (step - down) + point(below + column * 4 + 4) * down;
            at = column;
        }
        int32_t along = x + i - (column << shift);
        if (along > step) along = step;
        Quad sum = (left * (step - along) + right * along) >> (2 * shift);
        uint16_t four __attribute__((vector_size(8))) = __builtin_convertvector(sum, __typeof__(four));
        memcpy(out[i], &four, sizeof four);
    }
}

// Light of one pixel in units of the table, from the two halves of its sum.
static inline void light(Wide sum, uint16_t gain, Wide tint, const uint16_t *more, uint16_t *found) {
    Wide texel = sum + __builtin_shufflevector(sum, sum, 4, 5, 6, 7, 0, 1, 2, 3);
    Wide value = high(texel, high(all(gain), tint));
    Wide within = (Wide)(value < SHOWN);  // all bits where true
    value = (value & within) | (all(SHOWN - 1) & ~within);
    if (more) {
        Wide added = all(0);
        memcpy(&added, more, 8);
        value += added;
        within = (Wide)(value < SHOWN);
        value = (value & within) | (all(SHOWN - 1) & ~within);
    }
    memcpy(found, &value, 8);
}

// A whole block inside the mask: nothing to blend, one store.
static void show(const Job *job, uint8_t *pixels, const Wide *sum, const uint16_t *gain, Wide tint, Mirrored more) {
    uint8_t line[3 * BLOCK + 1];
    for (int i = 0; i < BLOCK; i++) {
        uint16_t found[4];
        light(sum[i], gain[i], tint, more ? more[i] : 0, found);
        uint32_t rgb = job->shown[found[0]] | job->shown[found[1]] << 8 | (uint32_t)job->shown[found[2]] << 16;
        memcpy(line + 3 * i, &rgb, 4);
    }
    memcpy(pixels, line, 3 * BLOCK);
}

// covered: how much of the pixel earlier layers have taken, in and out; null where there are none.
static void blend(const Job *job, uint8_t *pixel, int32_t x, int32_t y, uint8_t alpha, Wide sum, uint16_t gain, Wide tint,
                  const uint16_t *more, uint8_t *covered) {
    uint16_t found[4];
    light(sum, gain, tint, more, found);
    if (alpha == 255) {
        for (int k = 0; k < 3; k++) pixel[k] = job->shown[found[k]];
        if (covered) *covered = 255;
        return;
    }
    const int64_t row = (int64_t)(y + job->above) * job->sides_rows / job->whole;
    const uint8_t *side = job->sides + (row * job->sides_columns + (int64_t)x * job->sides_columns / job->width) * 8;
    const float share = alpha / 255.0f;
    const uint8_t *photo = pixel;
    float fresh = share;  // of the photo; what is more than is left of it hides what was laid before
    if (covered && *covered) {
        photo = job->photo + (int64_t)(y + job->y) * job->photo_stride + (int64_t)(x + job->x) * 3;
        if (alpha > 255 - *covered) fresh = (255 - *covered) / 255.0f;
    }
    for (int k = 0; k < 3; k++) {
        // What stands before the surface: without the old one's share where both sides are known.
        float old = job->linear[photo[k]], kept = old * (1 - fresh);
        if (side[3]) {
            float beside = job->linear[side[4 + k]] * (1 - fresh);
            kept = fminf(fmaxf(old - fresh * job->linear[side[k]], fminf(kept, beside)), fmaxf(kept, beside));
        }
        if (photo != pixel) kept = fmaxf(job->linear[pixel[k]] - (old - kept), 0) * (1 - share) / (1 - fresh);
        pixel[k] = job->srgb[(int)(fminf(kept + job->shown_linear[found[k]] * share, 1) * 65535 + 0.5f)];
    }
    if (covered) *covered = alpha > 255 - *covered ? 255 : *covered + alpha;
}

// How a footprint reads the texture: in so many taps along its long side, from a level and a part of the next.
typedef struct {
    int taps, level;
    float between;
} Reading;

static inline Reading reading(const Job *job, const float *footprint) {
    float longer = footprint[2], shorter = footprint[3];
    const Level *base = job->levels;
    float density = sqrtf(base->width / job->repeat[0] * base->height / job->repeat[1]);
    int taps = longer * density <= 1 ? 1 : (int)fminf(fmaxf(longer / shorter + 0.8f, 1), TAPS);
    float each = longer / taps > shorter ? longer / taps : shorter;
    float depth = log2f(fmaxf(each * density, 1));
    depth = fminf(depth, (float)(job->level_count - 1));
    int level = (int)depth;
    // Near a level that level alone is read: nobody sees the difference, and it is half of the work.
    return (Reading){taps, level, fminf(fmaxf((depth - level - 0.15f) / 0.7f, 0), 1)};
}

static void block(const Job *job, const uint32_t *at_u, const uint32_t *at_v, const float *footprint, const float *turn,
                  Wide *sum) {
    Line u, v;
    memcpy(&u, at_u, sizeof u), memcpy(&v, at_v, sizeof v);
    Reading read = reading(job, footprint);
    int taps = read.taps;
    const Level *level = job->levels + read.level;
    uint32_t second = (uint32_t)(read.between * 65535) / taps, first = 65535 / taps - second;
    float along[2] = {(turn[0] * footprint[0] + turn[1] * footprint[1]) / job->repeat[0],
                      (turn[2] * footprint[0] + turn[3] * footprint[1]) / job->repeat[1]};
    Square squares[BLOCK] = {0};
    for (int tap = 0; tap < taps; tap++) {
        float offset = ((tap + 0.5f) / taps - 0.5f) * (1 << REPEAT);
        Line tap_u = u + (uint32_t)(int32_t)(offset * along[0]), tap_v = v + (uint32_t)(int32_t)(offset * along[1]);
        if (first) sample(level, tap_u, tap_v, first, squares);
        if (second) sample(level + 1, tap_u, tap_v, second, squares);
    }
    add_rows(squares, sum);
}

// A block that pieces meet in: every tap looks where it was told to.
static void pieces(const Job *job, int32_t entry, int count, const float *footprint, Wide *sum) {
    Reading read = reading(job, footprint);
    const int taps = job->first[entry + 1] - job->first[entry];
    const uint16_t *at = job->taps + (int64_t)job->first[entry] * 2 * BLOCK;
    const uint32_t share = 65535 / taps;
    Square squares[BLOCK] = {0};
    for (int tap = 0; tap < taps; tap++, at += 2 * BLOCK) {
        Square places[2];
        memcpy(places, at, sizeof places);
        Line u = __builtin_convertvector(places[0], Line) << (REPEAT - 16);
        Line v = __builtin_convertvector(places[1], Line) << (REPEAT - 16);
        // Between two levels some taps, spread evenly, read one and the rest the other: half of the work of both.
        float rank = (__builtin_bitreverse32(tap) >> 1) * 0x1p-31f + 0.5f / taps;
        sample(job->levels + read.level + (rank < read.between), u, v, share, squares);
    }
    add_rows(squares, sum);
    const uint16_t *face = job->shares + (int64_t)entry * 2 * BLOCK, *grout = face + BLOCK;
    const uint32_t lost = taps;
    Wide color = all(0);
    memcpy(&color, job->grout, 8);
    for (int i = 0; i < count; i++) {
        // What is cut off at each tap is one in the mean; with many taps a dark material would be darker.
        Wider texel = __builtin_convertvector(sum[i], Wider) + lost;
        Wider lit = (texel * face[i] + __builtin_convertvector(color, Wider) * grout[i]) >> 15;
        Wider over = (Wider)(lit > 65535);  // all bits where true
        sum[i] = __builtin_convertvector((lit & ~over) | (over & 65535), Wide);
    }
}

static inline void straight(const double *lens, double x, double y, double *to_x, double *to_y) {
    double right = x - lens[0], down = y - lens[1], bend = lens[2] * (right * right + down * down);
    *to_x = x + right * bend, *to_y = y + down * bend;
}

// Where a block's pixels look, in parts of the texture's repeat.
static void places(const Job *job, int32_t x, int32_t y, const float *t, float right0, float down0, uint32_t *u, uint32_t *v) {
    const double *m = job->plane;
    const float scale = (float)(1 << REPEAT);
    // Over a block the lens bends nothing that could be seen: straight pixels lie on the line between its ends.
    double px, py, step_x, step_y;
    straight(job->lens, x + 0.5, y + 0.5, &px, &py);
    straight(job->lens, x + BLOCK - 0.5, y + 0.5, &step_x, &step_y);
    step_x = (step_x - px) / (BLOCK - 1), step_y = (step_y - py) / (BLOCK - 1);
    float a0 = (float)(m[0] * px + m[1] * py + m[2]), a = (float)(m[0] * step_x + m[1] * step_y);
    float b0 = (float)(m[3] * px + m[4] * py + m[5]), b = (float)(m[3] * step_x + m[4] * step_y);
    float c0 = (float)(m[6] * px + m[7] * py + m[8]), c = (float)(m[6] * step_x + m[7] * step_y);
    for (int i = 0; i < BLOCK; i++) {
        float over = 1 / fmaxf(c0 + c * i, 1e-9f);
        float right = (a0 + a * i) * over, down = (b0 + b * i) * over;
        float pu = (t[0] * right + t[1] * down + right0) / job->repeat[0];
        float pv = (t[2] * right + t[3] * down + down0) / job->repeat[1];
        u[i] = (uint32_t)(int32_t)(fminf(fmaxf(pu, -FAR), FAR) * scale);
        v[i] = (uint32_t)(int32_t)(fminf(fmaxf(pv, -FAR), FAR) * scale);
    }
}

static void lay(const Job *job, int32_t top, int32_t bottom) {
    const int blocks = (job->width + BLOCK - 1) / BLOCK;
    Wide tint;
    memcpy(&tint, job->tint, 8);
    memcpy((char *)&tint + 8, job->tint, 8);
    const int paint = job->levels->width == 1 && job->levels->height == 1;
    Wide color = all(0);
    memcpy(&color, job->levels->texels, 8);
    for (int32_t y = top; y < bottom; y++) {
        const uint8_t *alpha = job->alpha + (int64_t)y * job->width;
        const uint16_t *gain = job->gain + (int64_t)y * job->width;
        uint8_t *row = job->out + (y + job->y) * job->stride + (int64_t)job->x * 3;
        uint8_t *covered = job->covered ? job->covered + (y + job->y) * job->covered_stride + job->x : 0;
        int32_t start = job->spans[2 * y] / BLOCK * BLOCK, end = job->spans[2 * y + 1];
        for (int32_t x = start; x < end; x += BLOCK) {
            int count = end - x < BLOCK ? end - x : BLOCK;
            uint64_t bits[2] = {0, 0};
            memcpy(bits, alpha + x, count);
            if (!(bits[0] | bits[1])) continue;
            Wide sum[BLOCK];
            if (paint) {
                for (int i = 0; i < BLOCK; i++) sum[i] = color;
            } else {
                const int64_t number = (int64_t)y * blocks + x / BLOCK;
                const float *footprint = job->footprints + number * 4;
                const float *frame = job->entry ? job->frames + number * 6 : 0;
                uint32_t u[BLOCK], v[BLOCK];
                if (frame && job->entry[number] >= 0) {
                    pieces(job, job->entry[number], count, footprint, sum);
                } else if (frame) {
                    places(job, x, y, frame, frame[4], frame[5], u, v);
                    block(job, u, v, footprint, frame, sum);
                } else {
                    places(job, x, y, job->turn, 0, 0, u, v);
                    block(job, u, v, footprint, job->turn, sum);
                }
            }
            Mirrored mirrored;
            if (job->sheen) mirror(job, x, y, mirrored);
            if ((bits[0] & bits[1]) == ~0ull) {
                show(job, row + 3 * x, sum, gain + x, tint, job->sheen ? mirrored : 0);
                if (covered) memset(covered + x, 255, BLOCK);
            } else {
                for (int i = 0; i < count; i++)
                    if (alpha[x + i])
                        blend(job, row + 3 * (x + i), x + i, y, alpha[x + i], sum[i], gain[x + i], tint,
                              job->sheen ? mirrored[i] : 0, covered ? covered + x + i : 0);
            }
        }
    }
}

// Take rows until there are none left; any number of threads at the same time.
__attribute__((visibility("default"))) void roomviz_lay(Job *job) {
    int32_t top;
    while ((top = atomic_fetch_add(&job->taken, ROWS)) < job->height)
        lay(job, top, top + ROWS < job->height ? top + ROWS : job->height);
}
