// Gives every chunk its place: one run a shard, in the order in which a shard holds them (by shard, then epoch, then
// chunk).
//
// One workgroup: each thread adds up a range of chunks, the sums are scanned, then it goes through its range again. Few
// words, so no scan that would have to wait for other workgroups.

@group(0) @binding(1) var<storage, read> tables: array<u32>;
@group(0) @binding(4) var<storage, read_write> work: array<u32>;
@group(0) @binding(7) var<storage, read_write> output: array<u32>;


fn size_of(task: u32) -> u32 {
  if (params.codec == CODEC_NONE) {
    return select(params.chunk_bytes, 0u, tables[params.skipped_at + task / params.chunks_per_epoch] != 0u);
  }
  return work[params.chunks_at + 2u * task];
}

// The task at a position of the output.
fn task_at(position: u32) -> u32 {
  // Chunks before a shard's take epoch_count positions each, so the quotient names a chunk of the right shard.
  let row = params.chunk_table_at + (position / params.epoch_count) * params.chunk_table_words;
  let start = tables[row + 1u];
  let count = tables[row + 2u];
  let rest = position - start * params.epoch_count;
  return (rest / count) * params.chunks_per_epoch + start + rest % count;
}

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) thread: u32) {
  let each = (params.task_count + THREADS - 1u) / THREADS;
  let begin = min(thread * each, params.task_count);
  let to = min(begin + each, params.task_count);
  var sum = 0u;
  for (var position = begin; position < to; position++) {
    sum += size_of(task_at(position));
  }
  let sum_to_here = scan(sum, thread);
  var at = sum_to_here - sum;
  for (var position = begin; position < to; position++) {
    let task = task_at(position);
    let size = size_of(task);
    output[TOTAL_WORDS + task] = size;
    output[TOTAL_WORDS + params.task_count + task] = at;
    at += size;
  }
  if (thread == 0u) {
    output[0] = sums[THREADS - 1u];
    output[1] = params.generation;
  }
}
