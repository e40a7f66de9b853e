/** Draws a PNG with nothing but Python's standard library, because the sandbox has no network to install another one. */
export const plotProgram = `import math, struct, zlib

WIDTH, HEIGHT, MARGIN = 640, 320, 24
pixels = [bytearray(b"\\xff" * WIDTH * 3) for _ in range(HEIGHT)]

def blend(x, y, color, share):
    if 0 <= x < WIDTH and 0 <= y < HEIGHT:
        for i in range(3):
            old = pixels[y][x * 3 + i]
            pixels[y][x * 3 + i] = round(old + (color[i] - old) * share)

def line(points, color):
    """Draws discs along the way; each pixel keeps its largest share."""
    shares = {}
    for (x1, y1), (x2, y2) in zip(points, points[1:]):
        steps = max(1, math.ceil(math.dist((x1, y1), (x2, y2)) * 2))
        for step in range(steps):
            x, y = x1 + (x2 - x1) * step / steps, y1 + (y2 - y1) * step / steps
            for row in range(int(y) - 2, int(y) + 3):
                for column in range(int(x) - 2, int(x) + 3):
                    share = min(1, max(0, 2 - math.dist((column, row), (x, y))))
                    shares[column, row] = max(share, shares.get((column, row), 0))
    for (column, row), share in shares.items():
        blend(column, row, color, share)

for x in range(MARGIN, WIDTH - MARGIN):
    for row in range(5):
        blend(x, MARGIN + row * (HEIGHT - 2 * MARGIN) // 4, (120, 130, 140), 0.35)

def wave(t, frequency, phase):
    return math.exp(-t * 1.6) * math.sin(frequency * t * math.pi + phase)

times = [i / 500 for i in range(501)]
curves = {"a": (7, 0, (11, 107, 87)), "b": (5, 2.2, (192, 74, 28))}
for name, (frequency, phase, color) in curves.items():
    print(f"drawing curve {name}", flush=True)
    line([(MARGIN + t * (WIDTH - 2 * MARGIN), HEIGHT / 2 - wave(t, frequency, phase) * (HEIGHT / 2 - MARGIN))
          for t in times], color)

def chunk(kind, data):
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

with open("waves.png", "wb") as file:
    file.write(b"\\x89PNG\\r\\n\\x1a\\n")
    file.write(chunk(b"IHDR", struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0)))
    file.write(chunk(b"IDAT", zlib.compress(b"".join(b"\\0" + row for row in pixels))))
    file.write(chunk(b"IEND", b""))

with open("waves.csv", "w") as file:
    file.write("t,a,b\\n")
    for t in times:
        file.write(f"{t:.3f},{wave(t, 7, 0):.4f},{wave(t, 5, 2.2):.4f}\\n")

print(f"{len(times)} points")
`
