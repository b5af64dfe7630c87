// Rows of one step of diffusion. Read once per instruction set, after lanes.h.

// 2ˣ for x ≤ 0, relative error below 3·10⁻⁶; nothing below 2⁻¹²⁶. Rounding to whole numbers is the addition of 1.5·2²³.
KERNEL Floats power_of_two(Floats x) {
    x = larger(x, all(-126.f));
    const Floats moved = x + all(12582912.f), part = x - (moved - all(12582912.f));
    Floats power = all(0.00133336f) * part + all(0.00961813f);
    power = power * part + all(0.05550411f);
    power = power * part + all(0.24022651f);
    power = power * part + all(0.69314718f);
    power = power * part + all(1.f);
    return reinterpret_cast<Floats>(reinterpret_cast<Ints>(power) + (reinterpret_cast<Ints>(moved) << 23));
}

KERNEL Floats flow_of(const DiffusionRows& rows, Floats difference) {
    return all(rows.step) * difference * power_of_two(all(rows.scale) * difference * difference);
}

ENTRY void diffuse_rows(const DiffusionRows& rows) {
    float *down = rows.down, *right = rows.right;
    const int width = rows.width;
    for (int x = 0; x < width; x += 8) {
        const float* here = rows.from + rows.first * rows.pitch + x;
        store(down + x, rows.first ? flow_of(rows, load(here) - load(here - rows.pitch)) : all(0.f));
    }
    for (int row = rows.first; row < rows.last; ++row) {
        const float *here = rows.from + row * rows.pitch, *below = row + 1 < rows.height ? here + rows.pitch : here;
        float* to = rows.to + row * rows.pitch;
        for (int x = 0; x < width; x += 8) store(right + x, flow_of(rows, load(here + x + 1) - load(here + x)));
        right[width - 1] = 0;
        for (int x = 0; x < width; x += 8) {
            const Floats leaves = flow_of(rows, load(below + x) - load(here + x));
            store(to + x, load(here + x) + (leaves - load(down + x)) + (load(right + x) - load(right + x - 1)));
            store(down + x, leaves);
        }
    }
}
