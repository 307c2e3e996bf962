// Runs ONNX files in onnxruntime-web: node run.mjs FOLDER_OF_NPM FOLDER. NAME.json beside each NAME.onnx has the inputs
// and the output that duet computes for them, the model's first where it has no name. Fails
// unless all outputs are the same to 1e-4 of the largest number.
import { createRequire } from 'node:module';
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';

const [npm, folder] = process.argv.slice(2);
const require = createRequire(path.resolve(npm, 'package.json'));
const ort = require('onnxruntime-web');
ort.env.wasm.numThreads = 1;

let failed = false;
const fail = (name, what) => {
  console.error(`${name}: ${what}`);
  failed = true;
};

for (const file of readdirSync(folder).filter((f) => f.endsWith('.onnx')).sort()) {
  const model = path.join(folder, file);
  const { name, inputs, bound, output } = JSON.parse(readFileSync(model.replace(/onnx$/, 'json'), 'utf8'));
  const feeds = {};
  for (const { name: input, type, shape, values } of inputs) {
    const data = type === 'int64' ? BigInt64Array.from(values, BigInt) : Float32Array.from(values);
    feeds[input] = new ort.Tensor(type, data, shape);
  }
  const session = await ort.InferenceSession.create(readFileSync(model), { executionProviders: ['wasm'] });
  // Inputs of one whole number that duet takes for known.
  for (const input of session.inputNames) {
    if (!(input in feeds) && input in bound) feeds[input] = new ort.Tensor('int64', [BigInt(bound[input])], []);
  }
  const result = (await session.run(feeds))[output.name || session.outputNames[0]];
  await session.release();
  if (JSON.stringify(result.dims.map(Number)) !== JSON.stringify(output.shape)) {
    fail(name, `output (${result.dims}), expected (${output.shape})`);
    continue;
  }
  let largest = 0, difference = 0;
  for (let i = 0; i < output.values.length; ++i) {
    largest = Math.max(largest, Math.abs(output.values[i]));
    difference = Math.max(difference, Math.abs(result.data[i] - output.values[i]));
    if (!Number.isFinite(result.data[i])) difference = Infinity;
  }
  const constant = output.values.length > 1 && output.values.every((x) => x === output.values[0]);
  if (!(largest > 0) || constant) fail(name, 'the output is constant');
  if (!(difference <= 1e-4 * largest)) fail(name, `outputs differ by ${difference}, the largest is ${largest}`);
  console.log(`${name}: (${result.dims}), differs by ${(difference / largest).toExponential(1)} of the largest number`);
}
process.exit(failed ? 1 : 0);
