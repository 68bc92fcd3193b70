// Folders.
// RUN: hadal-opt %s --canonicalize | FileCheck %s

#tokens = #dsv3.layout<[tokens]>

// A slice of all columns is its input.
// CHECK-LABEL: func @whole_slice
// CHECK-SAME: %[[X:.*]]: tensor
// CHECK-NEXT: return %[[X]]
func.func @whole_slice(%x: tensor<?x64xbf16, #tokens>) -> tensor<?x64xbf16, #tokens> {
  %0 = dsv3.slice %x at 0 : (tensor<?x64xbf16, #tokens>) -> tensor<?x64xbf16, #tokens>
  return %0 : tensor<?x64xbf16, #tokens>
}

// An unread value goes, a cache write stays.
// CHECK-LABEL: func @effects
// CHECK-NOT: dsv3.rms_norm
// CHECK: dsv3.append_latent
func.func @effects(%x: tensor<?x64xbf16, #tokens>, %r: tensor<?x4xbf16, #tokens>, %w: tensor<64xf32>, %batch: !dsv3.batch, %cache: !dsv3.cache<64 + 4 x bf16>) {
  %0 = dsv3.rms_norm %x, %w eps 0.5 : (tensor<?x64xbf16, #tokens>, tensor<64xf32>) -> tensor<?x64xbf16, #tokens>
  dsv3.append_latent %x, %r, %batch to %cache : (tensor<?x64xbf16, #tokens>, tensor<?x4xbf16, #tokens>, !dsv3.batch, !dsv3.cache<64 + 4 x bf16>) -> ()
  return
}

// Two reads of the cache around a write are not one (CSE knows the effects).
// CHECK-LABEL: func @reads_around_a_write
// CHECK-COUNT-2: dsv3.mla_decode
func.func @reads_around_a_write(%q: tensor<?x68xbf16, #tokens>, %l: tensor<?x64xbf16, #tokens>, %r: tensor<?x4xbf16, #tokens>, %batch: !dsv3.batch, %cache: !dsv3.cache<64 + 4 x bf16>) -> (tensor<?x64xbf16, #tokens>, tensor<?x64xbf16, #tokens>) {
  %0 = dsv3.mla_decode %q over %cache, %batch heads 1 scale 0.5 : (tensor<?x68xbf16, #tokens>, !dsv3.cache<64 + 4 x bf16>, !dsv3.batch) -> tensor<?x64xbf16, #tokens>
  dsv3.append_latent %l, %r, %batch to %cache : (tensor<?x64xbf16, #tokens>, tensor<?x4xbf16, #tokens>, !dsv3.batch, !dsv3.cache<64 + 4 x bf16>) -> ()
  %1 = dsv3.mla_decode %q over %cache, %batch heads 1 scale 0.5 : (tensor<?x68xbf16, #tokens>, !dsv3.cache<64 + 4 x bf16>, !dsv3.batch) -> tensor<?x64xbf16, #tokens>
  return %0, %1 : tensor<?x64xbf16, #tokens>, tensor<?x64xbf16, #tokens>
}
