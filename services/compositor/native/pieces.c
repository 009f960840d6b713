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
    int32_t turned, seamless, flip_ends, flip_sides;
    uint64_t variants;
    float bevel, sky;              // sky: what the grout sees of it
    float contrast, occluded, light[2];
    double plane[9];               // from pixels of the box to the plane
} Layout;

typedef struct {
    uint64_t piece;
    float u, v, length, width, distance;
    int upright;
} Found;

typedef struct {
    uint64_t piece;
    float x, y;
    int flip_ends, flip_sides, known;
} Window;

static inline uint64_t scramble(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static inline uint64_t packed(int64_t column, int64_t row, int64_t index) {
    const int64_t mask = (1 << 27) - 1;
    return (uint64_t)((column & mask) << 35 | (row & mask) << 8 | index);
}

static inline Found rectangle(const Layout *p, uint64_t piece, float along, float across, float length, float width, int upright) {
    float u = along - p->grout / 2, v = across - p->grout / 2;
    float du = fminf(u, length - u), dv = fminf(v, width - v);
    float distance = du < 0 && dv < 0 ? -sqrtf(du * du + dv * dv) : fminf(du, dv);
    return (Found){piece, u, v, length, width, distance, upright};
}

static inline Found bond(const Layout *p, float x, float y) {
    float length = p->length + p->grout, width = p->width + p->grout;
    float row = floorf(y / width), shift;
    if (p->margin < 0) {
        float part = row * p->offset;
        shift = (part - floorf(part)) * length;
    } else {
        int64_t number = (int64_t)row;
        double uniform = (double)(scramble((uint64_t)number + p->seed) >> 11) * 0x1p-53;
        shift = (float)((0.5 * (number & 1) + p->margin * (2 * uniform - 1)) * length);
    }
    float shifted = x - shift, column = floorf(shifted / length);
    return rectangle(p, packed((int64_t)column, (int64_t)row, 0), shifted - column * length, y - row * width, p->length,
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
    return rectangle(p, packed((int64_t)step, (int64_t)band, upright), along, across, p->length, p->width, upright);
}

static inline Found basket(const Layout *p, float x, float y) {
    float width = p->width + p->grout, block = p->strips * width;
    float i = floorf(x / block), j = floorf(y / block);
    float fx = x - i * block, fy = y - j * block;
    int upright = ((int64_t)i + (int64_t)j) & 1;
    float strip = fminf(fmaxf(floorf((upright ? fx : fy) / width), 0), p->strips - 1);
    return rectangle(p, packed((int64_t)i, (int64_t)j, (int64_t)strip), upright ? fy : fx,
                     upright ? (strip + 1) * width - fx : fy - strip * width, p->length, p->width, upright);
}

static inline Found versailles(const Layout *p, float x, float y) {
    float pitch = p->length + p->grout;
    int64_t i = (int64_t)floorf(x / pitch), j = (int64_t)floorf(y / pitch);
    int64_t class = (i + 2 * j) % 18;
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
    int64_t around = 2 * p->rows - 2, m = ((int64_t)row + p->rows / 2) % around;
    m = m < 0 ? m + around : m;
    int64_t entry = m < around - m ? m : around - m;
    float shifted = x - p->start[entry], lap = floorf(shifted / p->period);
    shifted = fminf(fmaxf(shifted - lap * p->period, 0), p->period);
    int64_t bucket = (int64_t)(shifted / p->bucket);
    bucket = bucket < p->buckets ? bucket : p->buckets - 1;
    int64_t board = p->first[entry * p->buckets + bucket];
    board += shifted >= p->ends[entry * p->boards + board];
    board = board < p->boards ? board : p->boards - 1;
    float pitch = p->pitches[p->kinds[entry * p->boards + board]];
    return rectangle(p, packed((int64_t)(lap * p->boards) + board, (int64_t)row, 0),
                     shifted - p->ends[entry * p->boards + board] + pitch, y - row * width, pitch - p->grout, p->width, 0);
}

static inline Found locate(const Layout *p, float x, float y) {
    x -= p->origin[0], y -= p->origin[1];
    float a = p->cosine * x + p->sine * y - p->phase[0], b = p->cosine * y - p->sine * x - p->phase[1];
    switch (p->pattern) {
    case BOND: return bond(p, a, b);
    case HERRINGBONE: return herringbone(p, a, b);
    case BASKET: return basket(p, a, b);
    case VERSAILLES: return versailles(p, a, b);
    default: return planks(p, a, b);
    }
}

static inline float fraction(double x) { return (float)(x - floor(x)); }

// Which part of the picture a piece shows; that of the last piece is kept.
static inline void look(const Layout *p, const Found *found, Window *window) {
    if (window->known && window->piece == found->piece) return;
    uint64_t bits = scramble(found->piece + p->seed), variant = ((bits >> 40) * p->variants) >> 24;
    float wide = p->turned ? found->width : found->length, tall = p->turned ? found->length : found->width;
    float free_x = p->seamless ? p->source[0] : fmaxf(p->source[0] - wide, 0);
    float free_y = p->seamless ? p->source[1] : fmaxf(p->source[1] - tall, 0);
    *window = (Window){found->piece, fraction((variant + 1) * 0.7548776662466927) * free_x,
                       fraction((variant + 1) * 0.5698402909980532) * free_y, (bits & 1) && p->flip_ends,
                       (bits & 2) && p->flip_sides, 1};
}

static inline uint16_t part(float place, float whole) {
    float at = place / whole;
    return (uint16_t)fminf((at - floorf(at)) * 65536, 65535);
}

static inline void sample(const Layout *p, const Found *found, float u, float v, const Window *window, uint16_t *s, uint16_t *t) {
    if (window->flip_ends) u = found->length - u;
    if (window->flip_sides) v = found->width - v;
    *s = part(window->x + (p->turned ? found->width - v : u), p->source[0]);
    *t = part(window->y + (p->turned ? u : v), p->source[1]);
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

static inline void shares_of(const Layout *p, const Found *f, const Print *print, uint16_t *face, uint16_t *grout) {
    const int n = f->upright;
    float ends = fminf(f->u, f->length - f->u), sides = fminf(f->v, f->width - f->v);
    float pitch_ends = f->length + p->grout, pitch_sides = f->width + p->grout;
    float joint_ends = coverage(ends, p->grout / 2, print->across[n], pitch_ends);
    float joint_sides = coverage(sides, p->grout / 2, print->across[1 - n], pitch_sides);
    float open = 1 - (1 - joint_ends) * (1 - joint_sides), lit = 1 - open;
    if (p->bevel > 0) {
        // The directions across the ends and the sides, on the surface.
        float c = n ? -p->sine : p->cosine, s = n ? p->cosine : p->sine;
        float toward_u = c * p->light[0] + s * p->light[1], toward_v = -s * p->light[0] + c * p->light[1];
        lit += slopes(p, ends, print->across[n], pitch_ends, joint_ends, f->u >= f->length / 2 ? toward_u : -toward_u);
        lit += slopes(p, sides, print->across[1 - n], pitch_sides, joint_sides, f->v >= f->width / 2 ? toward_v : -toward_v);
    }
    *face = (uint16_t)fminf(fmaxf(lit, 0) * SHARE_ONE + 0.5f, 65535);
    *grout = (uint16_t)fminf(open * p->sky * SHARE_ONE + 0.5f, 65535);
}

// For each of `count` blocks: its place, its footprint, its taps (from first[k] to first[k + 1]), and the shares of its
// pixels.
__attribute__((visibility("default"))) void roomviz_pieces(const Layout *p, int64_t count, const int32_t *rows,
                                                           const int32_t *columns, const float *prints,
                                                           const int32_t *first, uint16_t *taps, uint16_t *shares) {
    const double *m = p->plane;
    Window window = {0, 0, 0, 0, 0, 0};
    for (int64_t k = 0; k < count; k++) {
        const Print print = print_of(p, prints + 4 * k);
        const int points = first[k + 1] - first[k];
        const float ratio = print.shorter / fmaxf(print.longer, 1e-9f);
        // Within this distance of a pixel's middle are all of its points.
        const float reach = 0.5f * sqrtf(print.longer * print.longer + print.shorter * print.shorter);
        uint16_t *mine = shares + k * 2 * BLOCK;
        for (int i = 0; i < BLOCK; i++) {
            double px = columns[k] * BLOCK + i + 0.5, py = rows[k] + 0.5;
            double over = 1 / fmax(m[6] * px + m[7] * py + m[8], 1e-9);
            float x = (float)((m[0] * px + m[1] * py + m[2]) * over), y = (float)((m[3] * px + m[4] * py + m[5]) * over);
            const Found middle = locate(p, x, y);
            shares_of(p, &middle, &print, mine + i, mine + BLOCK + i);
            const int alone = middle.distance > reach;
            const float c = middle.upright ? -p->sine : p->cosine, s = middle.upright ? p->cosine : p->sine;
            if (alone) look(p, &middle, &window);
            for (int n = 0; n < points; n++) {
                uint16_t *tap = taps + ((int64_t)first[k] + n) * 2 * BLOCK + i;
                // Hammersley's points, as `spread` has them.
                float along = (n + 0.5f) / points - 0.5f, aside = (float)((__builtin_bitreverse32(n) >> 1) * 0x1p-31) + 0.5f / points - 0.5f;
                float dx = along * print.ax - aside * (print.ay * ratio), dy = along * print.ay + aside * (print.ax * ratio);
                if (alone) {
                    sample(p, &middle, middle.u + c * dx + s * dy, middle.v + c * dy - s * dx, &window, tap, tap + BLOCK);
                } else {
                    const Found there = locate(p, x + dx, y + dy);
                    look(p, &there, &window);
                    sample(p, &there, there.u, there.v, &window, tap, tap + BLOCK);
                }
            }
        }
    }
}
