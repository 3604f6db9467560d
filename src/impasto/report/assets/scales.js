/* Numbers in words, ticks of axes, and the running mean of a curve. */
const say = (value) => {
  if (!Number.isFinite(value)) return String(value).replace("Infinity", "\u221e");
  const size = Math.abs(value);
  if (size && (size < 1e-4 || size >= 1e7)) return value.toExponential(3).replace("e+", "e");
  return Number(value.toPrecision(5)).toLocaleString("en", { maximumSignificantDigits: 6 });
};
const sayTick = (value) => {
  const size = Math.abs(value);
  return size && (size < 1e-3 || size >= 1e5) ? Number(value.toPrecision(4)).toExponential().replace("e+", "e") : String(Number(value.toPrecision(6)));
};

/* A mean that forgets, corrected for its start; what is no number is passed over. */
function smooth(values, weight) {
  if (!weight) return values;
  let mean = 0, count = 0;
  return values.map((value) => {
    if (!Number.isFinite(value)) return value;
    mean = mean * weight + value * (1 - weight);
    count += 1;
    return mean / (1 - weight ** count);
  });
}

function ticks(low, high, count) {
  const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= rough) * power;
  const found = [];
  for (let tick = Math.ceil(low / step) * step; tick <= high + step * 1e-9 && found.length < 20; tick += step) found.push(Math.abs(tick) < step * 1e-9 ? 0 : tick);
  return found;
}

function logTicks(low, high) {
  const first = Math.ceil(Math.log10(low) - 1e-9), last = Math.floor(Math.log10(high) + 1e-9);
  if (last <= first) return ticks(low, high, 4).filter((tick) => tick > 0);
  const every = Math.ceil((last - first + 1) / 6), found = [];
  for (let power = first; power <= last; power += every) found.push(10 ** power);
  return found;
}
