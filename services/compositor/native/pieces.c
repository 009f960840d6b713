// Where on their faces the pixels look in which rectangular pieces meet, and how much grout each has.
//
// What it computes is defined by layout_plate.py (`_Blocks`) and the modules of layout/ that it calls, in single
// precision as there. Lengths are metres.

#include <math.h>
#include <stdint.h>
#include <string.h>

#define BLOCK 16
#define SHARE_ONE 32768
#define POINT 1e-7f  // a footprint is at least this wide
#define FAR 1e5f     // metres; farther than anybody sees

// The numbers that layout_kernel.py gives them.
enum { BOND, HERRINGBONE, BASKET, VERSAILLES, PLANKS };

typedef struct {
    int32_t pattern;
    float length, width, grout;    // of a piece; a unit's side for Versailles
    float offset;                  // bond: of a row against the one below, in pitches
    float margin;                  // bond at random: how far a row is moved at most, in pitches; below 0: not at random
    int32_t strips;                // basket-weave: in a block
    const int32_t (*cells)[4];     // Versailles: for each class, columns and rows from the tile's corner, and its cells
    int32_t rows, boards, buckets; // planks: of the table
    float period, bucket;
    const float *start, *ends;     // planks: (rows), (rows, boards)
    const int32_t *kinds, *first;  // planks: (rows, boards), (rows, buckets)
    const float *pitches;          // planks: lengths with their joint
    float origin[2], phase[2], cosine, sine;  // of the layout's rotation
    uint64_t seed;                 // what is added to a key before it is scrambled
    float source[2];               // the picture's width and height
    int32_t turned, seamless;
    uint64_t flip_ends, flip_sides;  // the bit of a piece's random ones that tells, or 0
    uint64_t variants;
    float bevel, sky;              // sky: what the grout sees of it
    float contrast, occluded, light[2];
    double plane[9];               // from straight pixels of the box to the plane
    double lens[3];                // its middle, and its k: roomviz/imaging/lens.py
} Layout;

typedef struct {
    uint64_t piece;
    float u, v, length, width;
    int upright;
} Found;

// The same of a block's pixels.
typedef struct {
    uint64_t piece[BLOCK];
    float u[BLOCK], v[BLOCK], length[BLOCK], width[BLOCK];
    int upright[BLOCK];
} Block;

static inline uint64_t scramble(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static inline uint64_t packed(int32_t column, int32_t row, int32_t index) {
    const uint32_t mask = (1 << 27) - 1;
    return (uint64_t)((uint32_t)column & mask) << 35 | (uint64_t)((uint32_t)row & mask) << 8 | (uint32_t)index;
}

static inline Found rectangle(const Layout *p, uint64_t piece, float along, float across, float length, float width, int upright) {
    return (Found){piece, along - p->grout / 2, across - p->grout / 2, length, width, upright};
}

static inline Found bond(const Layout *p, float x, float y, int random) {
    float length = p->length + p->grout, width = p->width + p->grout;
    float row = floorf(y / width), shift;
    if (!random) {
        float part = row * p->offset;
        shift = (part - floorf(part)) * length;
    } else {
        int32_t number = (int32_t)row;
        double uniform = (double)(int64_t)(scramble((uint64_t)(int64_t)number + p->seed) >> 11) * 0x1p-53;
        shift = (float)((0.5 * (number & 1) + p->margin * (2 * uniform - 1)) * length);
    }
    float shifted = x - shift, column = floorf(shifted / length);
    return rectangle(p, packed((int32_t)column, (int32_t)row, 0), shifted - column * length, y - row * width, p->length,
                     p->width, 0);
}

static inline Found herringbone(const Layout *p, float x, float y) {
    float length = p->length + p->grout, width = p->width + p->grout;
    float band = floorf((x - y + (length + width)) / (2 * length));
    float s = x - band * length, t = y + band * length;
    float step = floorf(s / width), height = t - step * width;
    int upright = height >= width && height < width + length;
    if (height >= width + length) {
        band -= 1;
        s = x - band * length, t = y + band * length;
    }
    step = floorf((upright ? s : t) / width);
    float along = upright ? t - (step + 1) * width : s - step * width;
    float across = upright ? (step + 1) * width - s : t - step * width;
    return rectangle(p, packed((int32_t)step, (int32_t)band, upright), along, across, p->length, p->width, upright);
}

static inline Found basket(const Layout *p, float x, float y) {
    float width = p->width + p->grout, block = p->strips * width;
    float i = floorf(x / block), j = floorf(y / block);
    float fx = x - i * block, fy = y - j * block;
    int upright = ((int32_t)i + (int32_t)j) & 1;
    float strip = fminf(fmaxf(floorf((upright ? fx : fy) / width), 0), p->strips - 1);
    return rectangle(p, packed((int32_t)i, (int32_t)j, (int32_t)strip), upright ? fy : fx,
                     upright ? (strip + 1) * width - fx : fy - strip * width, p->length, p->width, upright);
}

static inline Found versailles(const Layout *p, float x, float y) {
    float pitch = p->length + p->grout;
    int32_t i = (int32_t)floorf(x / pitch), j = (int32_t)floorf(y / pitch), class = (i + 2 * j) % 18;
    const int32_t *cell = p->cells[class < 0 ? class + 18 : class];
    i -= cell[0], j -= cell[1];
    int32_t wide = cell[2], tall = cell[3];
    float fx = x - i * pitch, fy = y - j * pitch;
    int upright = tall > wide;
    return rectangle(p, packed(i, j, 0), upright ? fy : fx, upright ? wide * pitch - fx : fy,
                     (upright ? tall : wide) * pitch - p->grout, (upright ? wide : tall) * pitch - p->grout, upright);
}

static inline Found planks(const Layout *p, float x, float y) {
    float width = p->width + p->grout, row = floorf(y / width);
    int32_t around = 2 * p->rows - 2, m = ((int32_t)row + p->rows / 2) % around;
    m = m < 0 ? m + around : m;
    int32_t entry = m < around - m ? m : around - m;
    float shifted = x - p->start[entry], lap = floorf(shifted / p->period);
    shifted = fminf(fmaxf(shifted - lap * p->period, 0), p->period);
    int32_t bucket = (int32_t)(shifted / p->bucket);
    bucket = (uint32_t)bucket < (uint32_t)p->buckets ? bucket : p->buckets - 1;
    int32_t board = p->first[entry * p->buckets + bucket];
    board += shifted >= p->ends[entry * p->boards + board];
    board = board < p->boards ? board : p->boards - 1;
    float pitch = p->pitches[p->kinds[entry * p->boards + board]];
    return rectangle(p, packed((int32_t)(lap * p->boards) + board, (int32_t)row, 0),
                     shifted - p->ends[entry * p->boards + board] + pitch, y - row * width, pitch - p->grout, p->width, 0);
}

static inline void keep(Block *out, int i, Found found) {
    out->piece[i] = found.piece, out->upright[i] = found.upright;
    out->u[i] = found.u, out->v[i] = found.v, out->length[i] = found.length, out->width[i] = found.width;
}

// Each pattern has a loop of its own, of which the compiler makes vectors.
static void locate(const Layout *p, const float *x, const float *y, Block *out) {
    float a[BLOCK], b[BLOCK];
    for (int i = 0; i < BLOCK; i++) {
        float right = x[i] - p->origin[0], down = y[i] - p->origin[1];
        // Near the horizon places are farther than whole numbers of pieces can tell.
        a[i] = fminf(fmaxf(p->cosine * right + p->sine * down - p->phase[0], -FAR), FAR);
        b[i] = fminf(fmaxf(p->cosine * down - p->sine * right - p->phase[1], -FAR), FAR);
    }
    switch (p->pattern) {
    case BOND:
        if (p->margin < 0) for (int i = 0; i < BLOCK; i++) keep(out, i, bond(p, a[i], b[i], 0));
        else for (int i = 0; i < BLOCK; i++) keep(out, i, bond(p, a[i], b[i], 1));
        break;
    case HERRINGBONE:
        for (int i = 0; i < BLOCK; i++) keep(out, i, herringbone(p, a[i], b[i]));
        break;
    case BASKET:
        for (int i = 0; i < BLOCK; i++) keep(out, i, basket(p, a[i], b[i]));
        break;
    case VERSAILLES:
        for (int i = 0; i < BLOCK; i++) keep(out, i, versailles(p, a[i], b[i]));
        break;
    default:
        for (int i = 0; i < BLOCK; i++) keep(out, i, planks(p, a[i], b[i]));
    }
}

static inline float fraction(double x) { return (float)(x - floor(x)); }

static inline uint16_t part(float place) { return (uint16_t)(int32_t)fminf((place - floorf(place)) * 65536, 65535); }

// Where in the picture a block's pixels look: parts of its width and height, 65536 is 1.
static void sample(const Layout *p, const Block *found, uint16_t *s, uint16_t *t) {
    const float over_width = 1 / p->source[0], over_height = 1 / p->source[1];
    for (int i = 0; i < BLOCK; i++) {
        uint64_t bits = scramble(found->piece[i] + p->seed);
        int32_t variant = (int32_t)((uint32_t)(bits >> 40) * p->variants >> 24);
        float length = found->length[i], width = found->width[i];
        float wide = p->turned ? width : length, tall = p->turned ? length : width;
        float free_x = p->seamless ? p->source[0] : fmaxf(p->source[0] - wide, 0);
        float free_y = p->seamless ? p->source[1] : fmaxf(p->source[1] - tall, 0);
        // R2's steps (windows.py).
        float x = fraction((variant + 1) * 0.7548776662466927) * free_x, y = fraction((variant + 1) * 0.5698402909980532) * free_y;
        float u = bits & p->flip_ends ? length - found->u[i] : found->u[i];
        float v = bits & p->flip_sides ? width - found->v[i] : found->v[i];
        s[i] = part((x + (p->turned ? width - v : u)) * over_width);
        t[i] = part((y + (p->turned ? u : v)) * over_height);
    }
}

// grout.py: joints left of t, from the middle of one of them.
static inline float integral(float t, float half, float pitch) {
    float number = rintf(t / pitch), rest = t - number * pitch;
    return number * (2 * half) + fminf(fmaxf(rest, -half), half);
}

static inline float coverage(float distance, float half, float size, float pitch) {
    float middle = distance + half;
    float part = (integral(middle + size / 2, half, pitch) - integral(middle - size / 2, half, pitch)) / size;
    return fminf(fmaxf(part, 0), 1);
}

static inline float between(float x, float low, float high) { return fminf(fmaxf(x, low), high); }

// relief.py: what the slopes on both sides of a joint add; `joints` is the coverage of the joint itself.
static inline float slopes(const Layout *p, float distance, float size, float pitch, float joints, float facing) {
    const float half = p->grout / 2, bevel = p->bevel;
    float both = coverage(distance - bevel, half + bevel, size, pitch) - joints;
    float low = distance + half - size / 2, high = distance + half + size / 2;
    float mine = between(high, half, half + bevel) - between(low, half, half + bevel);
    float beyond = between(high, -half - bevel, -half) - between(low, -half - bevel, -half);
    return p->contrast * facing * (mine - beyond) / size - p->occluded * both;
}

typedef struct {
    float ax, ay, longer, shorter;
    float across[2];  // its width along the layout's axes
} Print;

static inline Print print_of(const Layout *p, const float *at) {
    Print out = {at[0], at[1], at[2], at[3], {0, 0}};
    for (int k = 0; k < 2; k++) {
        float c = k ? -p->sine : p->cosine, s = k ? p->cosine : p->sine;
        float along = out.ax * c + out.ay * s;
        float sine = (out.ax * s - out.ay * c) / fmaxf(sqrtf(out.ax * out.ax + out.ay * out.ay), POINT);
        out.across[k] = fmaxf(sqrtf(along * along + out.shorter * sine * (out.shorter * sine)), POINT);
    }
    return out;
}

static void shares_of(const Layout *p, const Block *found, const Print *print, uint16_t *face, uint16_t *grout) {
    // The directions across the ends and the sides of pieces that lie level, on the surface.
    const float across = p->cosine * p->light[0] + p->sine * p->light[1], along = p->cosine * p->light[1] - p->sine * p->light[0];
    for (int i = 0; i < BLOCK; i++) {
        const int n = found->upright[i];
        float u = found->u[i], v = found->v[i], length = found->length[i], width = found->width[i];
        float ends = fminf(u, length - u), sides = fminf(v, width - v);
        float size_ends = n ? print->across[1] : print->across[0], size_sides = n ? print->across[0] : print->across[1];
        float pitch_ends = length + p->grout, pitch_sides = width + p->grout;
        float joint_ends = coverage(ends, p->grout / 2, size_ends, pitch_ends);
        float joint_sides = coverage(sides, p->grout / 2, size_sides, pitch_sides);
        float open = 1 - (1 - joint_ends) * (1 - joint_sides), lit = 1 - open;
        // Upright pieces are turned by 90 degrees.
        float toward_u = n ? along : across, toward_v = n ? -across : along;
        float slope_ends = slopes(p, ends, size_ends, pitch_ends, joint_ends, u >= length / 2 ? toward_u : -toward_u);
        float slope_sides = slopes(p, sides, size_sides, pitch_sides, joint_sides, v >= width / 2 ? toward_v : -toward_v);
        lit += p->bevel > 0 ? slope_ends + slope_sides : 0;
        face[i] = (uint16_t)(int32_t)fminf(fmaxf(lit, 0) * SHARE_ONE + 0.5f, 65535);
        grout[i] = (uint16_t)(int32_t)fminf(open * p->sky * SHARE_ONE + 0.5f, 65535);
    }
}

// For each of `count` blocks: its place, its footprint, its taps (from first[k] to first[k + 1]), and the shares of its
// pixels.
__attribute__((visibility("default"))) void roomviz_pieces(const Layout *p, int64_t count, const int32_t *rows,
                                                           const int32_t *columns, const float *prints,
                                                           const int32_t *first, uint16_t *taps, uint16_t *shares) {
    const double *m = p->plane, *lens = p->lens;
    for (int64_t k = 0; k < count; k++) {
        const Print print = print_of(p, prints + 4 * k);
        const int points = first[k + 1] - first[k];
        const float ratio = print.shorter / fmaxf(print.longer, 1e-9f);
        float x[BLOCK], y[BLOCK];
        for (int i = 0; i < BLOCK; i++) {
            double px = columns[k] * BLOCK + i + 0.5, py = rows[k] + 0.5;
            double right = px - lens[0], down = py - lens[1], bend = lens[2] * (right * right + down * down);
            px += right * bend, py += down * bend;
            double over = 1 / fmax(m[6] * px + m[7] * py + m[8], 1e-9);
            x[i] = (float)((m[0] * px + m[1] * py + m[2]) * over), y[i] = (float)((m[3] * px + m[4] * py + m[5]) * over);
        }
        Block found;
        locate(p, x, y, &found);
        shares_of(p, &found, &print, shares + k * 2 * BLOCK, shares + (k * 2 + 1) * BLOCK);
        for (int n = 0; n < points; n++) {
            // Hammersley's points, as `spread` has them.
            float along = (n + 0.5f) / points - 0.5f, aside = (float)((__builtin_bitreverse32(n) >> 1) * 0x1p-31) + 0.5f / points - 0.5f;
            float dx = along * print.ax - aside * (print.ay * ratio), dy = along * print.ay + aside * (print.ax * ratio);
            float tap_x[BLOCK], tap_y[BLOCK];
            for (int i = 0; i < BLOCK; i++) tap_x[i] = x[i] + dx, tap_y[i] = y[i] + dy;
            uint16_t *tap = taps + ((int64_t)first[k] + n) * 2 * BLOCK;
            locate(p, tap_x, tap_y, &found);
            sample(p, &found, tap, tap + BLOCK);
        }
    }
}
