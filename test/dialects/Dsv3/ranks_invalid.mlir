// Each verifier message of the operations of several ranks.
// RUN: hadal-opt %s -split-input-file -verify-diagnostics

!ids = tensor<?x2xi32, #dsv3.layout<[tokens]>>
!x = tensor<?x256xbf16, #dsv3.layout<[tokens]>>
!rows = tensor<?x256xbf16, #dsv3.layout<[received]>>
!meta = tensor<?x4xi32, #dsv3.layout<[received]>>
!token = tensor<?xi32, #dsv3.layout<[received]>>
!back = tensor<?x2xi32, #dsv3.layout<[received]>>
!source = tensor<?xi32, #dsv3.layout<[routed]>>
!y = tensor<?x256xbf16, #dsv3.layout<[routed]>>
!z = tensor<?x256xbf16, #dsv3.layout<[returned]>>
!table = tensor<8x2xi32>
!counts = tensor<4x2xi32>
!begin = tensor<3xi32>

// Heads are shared over tp, experts over ep.
func.func @f(%x: !x, %ids: !ids, %t: !table, %b: !dsv3.batch, %l: !dsv3.counts<8>, %o: !dsv3.counts<8>) {
  // expected-error@+1 {{'dsv3.moe_dispatch' op experts are shared over ep, got tp}}
  %r:8 = dsv3.moe_dispatch %x, %ids, %t, %b counting %l overflow %o over tp : (!x, !ids, !table, !dsv3.batch, !dsv3.counts<8>, !dsv3.counts<8>) -> (!rows, !meta, !source, !begin, !back, !ids, !counts, !counts)
  return
}

// -----

!ids = tensor<?x2xi32, #dsv3.layout<[tokens]>>
!x = tensor<?x256xbf16, #dsv3.layout<[tokens]>>
!rows = tensor<?x256xbf16, #dsv3.layout<[received]>>
!meta = tensor<?x4xi32, #dsv3.layout<[received]>>
!token = tensor<?xi32, #dsv3.layout<[received]>>
!back = tensor<?x2xi32, #dsv3.layout<[received]>>
!source = tensor<?xi32, #dsv3.layout<[routed]>>
!y = tensor<?x256xbf16, #dsv3.layout<[routed]>>
!z = tensor<?x256xbf16, #dsv3.layout<[returned]>>
!table = tensor<8x2xi32>
!counts = tensor<4x2xi32>
!begin = tensor<3xi32>

// A placement says where each expert lives.
func.func @f(%x: !x, %ids: !ids, %t: tensor<8xi32>, %b: !dsv3.batch, %l: !dsv3.counts<8>, %o: !dsv3.counts<8>) {
  // expected-error@+1 {{placement must be i32[experts, 1 + replicas], got 'tensor<8xi32>'}}
  %r:8 = dsv3.moe_dispatch %x, %ids, %t, %b counting %l overflow %o over ep : (!x, !ids, tensor<8xi32>, !dsv3.batch, !dsv3.counts<8>, !dsv3.counts<8>) -> (!rows, !meta, !source, !begin, !back, !ids, !counts, !counts)
  return
}

// -----

!ids = tensor<?x2xi32, #dsv3.layout<[tokens]>>
!x = tensor<?x256xbf16, #dsv3.layout<[tokens]>>
!rows = tensor<?x256xbf16, #dsv3.layout<[received]>>
!meta = tensor<?x4xi32, #dsv3.layout<[received]>>
!token = tensor<?xi32, #dsv3.layout<[received]>>
!back = tensor<?x2xi32, #dsv3.layout<[received]>>
!source = tensor<?xi32, #dsv3.layout<[routed]>>
!y = tensor<?x256xbf16, #dsv3.layout<[routed]>>
!z = tensor<?x256xbf16, #dsv3.layout<[returned]>>
!table = tensor<8x2xi32>
!counts = tensor<4x2xi32>
!begin = tensor<3xi32>

// The load has a counter for each expert.
func.func @f(%x: !x, %ids: !ids, %t: !table, %b: !dsv3.batch, %l: !dsv3.counts<7>, %o: !dsv3.counts<8>) {
  // expected-error@+1 {{expert load must be 8, got 7}}
  %r:8 = dsv3.moe_dispatch %x, %ids, %t, %b counting %l overflow %o over ep : (!x, !ids, !table, !dsv3.batch, !dsv3.counts<7>, !dsv3.counts<8>) -> (!rows, !meta, !source, !begin, !back, !ids, !counts, !counts)
  return
}

// -----

!ids = tensor<?x2xi32, #dsv3.layout<[tokens]>>
!x = tensor<?x256xbf16, #dsv3.layout<[tokens]>>
!rows = tensor<?x256xbf16, #dsv3.layout<[received]>>
!meta = tensor<?x4xi32, #dsv3.layout<[received]>>
!token = tensor<?xi32, #dsv3.layout<[received]>>
!back = tensor<?x2xi32, #dsv3.layout<[received]>>
!source = tensor<?xi32, #dsv3.layout<[routed]>>
!y = tensor<?x256xbf16, #dsv3.layout<[routed]>>
!z = tensor<?x256xbf16, #dsv3.layout<[returned]>>
!table = tensor<8x2xi32>
!counts = tensor<4x2xi32>
!begin = tensor<3xi32>

// What arrives is what was sent.
func.func @f(%x: !x, %ids: !ids, %t: !table, %b: !dsv3.batch, %l: !dsv3.counts<8>, %o: !dsv3.counts<8>) {
  // expected-error@+1 {{rows must be 'tensor<?x256xbf16, #dsv3.layout<[received]>>', got 'tensor<?x256xf32, #dsv3.layout<[received]>>'}}
  %r:8 = dsv3.moe_dispatch %x, %ids, %t, %b counting %l overflow %o over ep : (!x, !ids, !table, !dsv3.batch, !dsv3.counts<8>, !dsv3.counts<8>) -> (tensor<?x256xf32, #dsv3.layout<[received]>>, !meta, !source, !begin, !back, !ids, !counts, !counts)
  return
}

// -----

!ids = tensor<?x2xi32, #dsv3.layout<[tokens]>>
!x = tensor<?x256xbf16, #dsv3.layout<[tokens]>>
!rows = tensor<?x256xbf16, #dsv3.layout<[received]>>
!meta = tensor<?x4xi32, #dsv3.layout<[received]>>
!token = tensor<?xi32, #dsv3.layout<[received]>>
!back = tensor<?x2xi32, #dsv3.layout<[received]>>
!source = tensor<?xi32, #dsv3.layout<[routed]>>
!y = tensor<?x256xbf16, #dsv3.layout<[routed]>>
!z = tensor<?x256xbf16, #dsv3.layout<[returned]>>
!table = tensor<8x2xi32>
!counts = tensor<4x2xi32>
!begin = tensor<3xi32>

// The record of a row holds all of its choices.
func.func @f(%x: !x, %ids: !ids, %t: !table, %b: !dsv3.batch, %l: !dsv3.counts<8>, %o: !dsv3.counts<8>) {
  // expected-error@+1 {{meta must be 'tensor<?x4xi32, #dsv3.layout<[received]>>'}}
  %r:8 = dsv3.moe_dispatch %x, %ids, %t, %b counting %l overflow %o over ep : (!x, !ids, !table, !dsv3.batch, !dsv3.counts<8>, !dsv3.counts<8>) -> (!rows, tensor<?x8xi32, #dsv3.layout<[received]>>, !source, !begin, !back, !ids, !counts, !counts)
  return
}

// -----

!ids = tensor<?x2xi32, #dsv3.layout<[tokens]>>
!x = tensor<?x256xbf16, #dsv3.layout<[tokens]>>
!rows = tensor<?x256xbf16, #dsv3.layout<[received]>>
!meta = tensor<?x4xi32, #dsv3.layout<[received]>>
!token = tensor<?xi32, #dsv3.layout<[received]>>
!back = tensor<?x2xi32, #dsv3.layout<[received]>>
!source = tensor<?xi32, #dsv3.layout<[routed]>>
!y = tensor<?x256xbf16, #dsv3.layout<[routed]>>
!z = tensor<?x256xbf16, #dsv3.layout<[returned]>>
!table = tensor<8x2xi32>
!counts = tensor<4x2xi32>
!begin = tensor<3xi32>

// Every choice of a received row comes back.
func.func @f(%x: !x, %ids: !ids, %t: !table, %b: !dsv3.batch, %l: !dsv3.counts<8>, %o: !dsv3.counts<8>) {
  // expected-error@+1 {{back must be 'tensor<?x2xi32, #dsv3.layout<[received]>>'}}
  %r:8 = dsv3.moe_dispatch %x, %ids, %t, %b counting %l overflow %o over ep : (!x, !ids, !table, !dsv3.batch, !dsv3.counts<8>, !dsv3.counts<8>) -> (!rows, !meta, !source, !begin, tensor<?x3xi32, #dsv3.layout<[received]>>, !ids, !counts, !counts)
  return
}

// -----

!ids = tensor<?x2xi32, #dsv3.layout<[tokens]>>
!x = tensor<?x256xbf16, #dsv3.layout<[tokens]>>
!rows = tensor<?x256xbf16, #dsv3.layout<[received]>>
!meta = tensor<?x4xi32, #dsv3.layout<[received]>>
!token = tensor<?xi32, #dsv3.layout<[received]>>
!back = tensor<?x2xi32, #dsv3.layout<[received]>>
!source = tensor<?xi32, #dsv3.layout<[routed]>>
!y = tensor<?x256xbf16, #dsv3.layout<[routed]>>
!z = tensor<?x256xbf16, #dsv3.layout<[returned]>>
!table = tensor<8x2xi32>
!counts = tensor<4x2xi32>
!begin = tensor<3xi32>

// Routed rows are what experts compute.
func.func @f(%x: !x, %ids: !ids, %t: !table, %b: !dsv3.batch, %l: !dsv3.counts<8>, %o: !dsv3.counts<8>) {
  // expected-error@+1 {{source must be 'tensor<?xi32, #dsv3.layout<[routed]>>'}}
  %r:8 = dsv3.moe_dispatch %x, %ids, %t, %b counting %l overflow %o over ep : (!x, !ids, !table, !dsv3.batch, !dsv3.counts<8>, !dsv3.counts<8>) -> (!rows, !meta, !token, !begin, !back, !ids, !counts, !counts)
  return
}

// -----

!ids = tensor<?x2xi32, #dsv3.layout<[tokens]>>
!x = tensor<?x256xbf16, #dsv3.layout<[tokens]>>
!rows = tensor<?x256xbf16, #dsv3.layout<[received]>>
!meta = tensor<?x4xi32, #dsv3.layout<[received]>>
!token = tensor<?xi32, #dsv3.layout<[received]>>
!back = tensor<?x2xi32, #dsv3.layout<[received]>>
!source = tensor<?xi32, #dsv3.layout<[routed]>>
!y = tensor<?x256xbf16, #dsv3.layout<[routed]>>
!z = tensor<?x256xbf16, #dsv3.layout<[returned]>>
!table = tensor<8x2xi32>
!counts = tensor<4x2xi32>
!begin = tensor<3xi32>

// A rank has an expert.
func.func @f(%x: !x, %ids: !ids, %t: !table, %b: !dsv3.batch, %l: !dsv3.counts<8>, %o: !dsv3.counts<8>) {
  // expected-error@+1 {{expert offsets must be i32[slots + 1], got 'tensor<1xi32>'}}
  %r:8 = dsv3.moe_dispatch %x, %ids, %t, %b counting %l overflow %o over ep : (!x, !ids, !table, !dsv3.batch, !dsv3.counts<8>, !dsv3.counts<8>) -> (!rows, !meta, !source, tensor<1xi32>, !back, !ids, !counts, !counts)
  return
}

// -----

!ids = tensor<?x2xi32, #dsv3.layout<[tokens]>>
!x = tensor<?x256xbf16, #dsv3.layout<[tokens]>>
!rows = tensor<?x256xbf16, #dsv3.layout<[received]>>
!meta = tensor<?x4xi32, #dsv3.layout<[received]>>
!token = tensor<?xi32, #dsv3.layout<[received]>>
!back = tensor<?x2xi32, #dsv3.layout<[received]>>
!source = tensor<?xi32, #dsv3.layout<[routed]>>
!y = tensor<?x256xbf16, #dsv3.layout<[routed]>>
!z = tensor<?x256xbf16, #dsv3.layout<[returned]>>
!table = tensor<8x2xi32>
!counts = tensor<4x2xi32>
!begin = tensor<3xi32>

// Places are those of the choices.
func.func @f(%x: !x, %ids: !ids, %t: !table, %b: !dsv3.batch, %l: !dsv3.counts<8>, %o: !dsv3.counts<8>) {
  // expected-error@+1 {{place must be}}
  %r:8 = dsv3.moe_dispatch %x, %ids, %t, %b counting %l overflow %o over ep : (!x, !ids, !table, !dsv3.batch, !dsv3.counts<8>, !dsv3.counts<8>) -> (!rows, !meta, !source, !begin, !back, !back, !counts, !counts)
  return
}

// -----

!ids = tensor<?x2xi32, #dsv3.layout<[tokens]>>
!x = tensor<?x256xbf16, #dsv3.layout<[tokens]>>
!rows = tensor<?x256xbf16, #dsv3.layout<[received]>>
!meta = tensor<?x4xi32, #dsv3.layout<[received]>>
!token = tensor<?xi32, #dsv3.layout<[received]>>
!back = tensor<?x2xi32, #dsv3.layout<[received]>>
!source = tensor<?xi32, #dsv3.layout<[routed]>>
!y = tensor<?x256xbf16, #dsv3.layout<[routed]>>
!z = tensor<?x256xbf16, #dsv3.layout<[returned]>>
!table = tensor<8x2xi32>
!counts = tensor<4x2xi32>
!begin = tensor<3xi32>

// Every rank has its counts.
func.func @f(%x: !x, %ids: !ids, %t: !table, %b: !dsv3.batch, %l: !dsv3.counts<8>, %o: !dsv3.counts<8>) {
  // expected-error@+1 {{sent must be 'tensor<4x2xi32>', got 'tensor<2x2xi32>'}}
  %r:8 = dsv3.moe_dispatch %x, %ids, %t, %b counting %l overflow %o over ep : (!x, !ids, !table, !dsv3.batch, !dsv3.counts<8>, !dsv3.counts<8>) -> (!rows, !meta, !source, !begin, !back, !ids, tensor<2x2xi32>, !counts)
  return
}

// -----

!ids = tensor<?x2xi32, #dsv3.layout<[tokens]>>
!x = tensor<?x256xbf16, #dsv3.layout<[tokens]>>
!rows = tensor<?x256xbf16, #dsv3.layout<[received]>>
!meta = tensor<?x4xi32, #dsv3.layout<[received]>>
!token = tensor<?xi32, #dsv3.layout<[received]>>
!back = tensor<?x2xi32, #dsv3.layout<[received]>>
!source = tensor<?xi32, #dsv3.layout<[routed]>>
!y = tensor<?x256xbf16, #dsv3.layout<[routed]>>
!z = tensor<?x256xbf16, #dsv3.layout<[returned]>>
!table = tensor<8x2xi32>
!counts = tensor<4x2xi32>
!begin = tensor<3xi32>

// Rows and pairs are counted.
func.func @f(%x: !x, %ids: !ids, %t: !table, %b: !dsv3.batch, %l: !dsv3.counts<8>, %o: !dsv3.counts<8>) {
  // expected-error@+1 {{got must be 'tensor<4x2xi32>', got 'tensor<4xi32>'}}
  %r:8 = dsv3.moe_dispatch %x, %ids, %t, %b counting %l overflow %o over ep : (!x, !ids, !table, !dsv3.batch, !dsv3.counts<8>, !dsv3.counts<8>) -> (!rows, !meta, !source, !begin, !back, !ids, !counts, tensor<4xi32>)
  return
}

// -----

!ids = tensor<?x2xi32, #dsv3.layout<[tokens]>>
!x = tensor<?x256xbf16, #dsv3.layout<[tokens]>>
!rows = tensor<?x256xbf16, #dsv3.layout<[received]>>
!meta = tensor<?x4xi32, #dsv3.layout<[received]>>
!token = tensor<?xi32, #dsv3.layout<[received]>>
!back = tensor<?x2xi32, #dsv3.layout<[received]>>
!source = tensor<?xi32, #dsv3.layout<[routed]>>
!y = tensor<?x256xbf16, #dsv3.layout<[routed]>>
!z = tensor<?x256xbf16, #dsv3.layout<[returned]>>
!table = tensor<8x2xi32>
!counts = tensor<4x2xi32>
!begin = tensor<3xi32>

// They are rows.
func.func @f(%y: tensor<bf16>, %m: !meta, %k: !back, %s: !counts, %g: !counts) {
  // expected-error@+1 {{input must have rank 2}}
  %z = dsv3.moe_return %y, %m, %k, %s, %g over ep : (tensor<bf16>, !meta, !back, !counts, !counts) -> !z
  return
}

// -----

!ids = tensor<?x2xi32, #dsv3.layout<[tokens]>>
!x = tensor<?x256xbf16, #dsv3.layout<[tokens]>>
!rows = tensor<?x256xbf16, #dsv3.layout<[received]>>
!meta = tensor<?x4xi32, #dsv3.layout<[received]>>
!token = tensor<?xi32, #dsv3.layout<[received]>>
!back = tensor<?x2xi32, #dsv3.layout<[received]>>
!source = tensor<?xi32, #dsv3.layout<[routed]>>
!y = tensor<?x256xbf16, #dsv3.layout<[routed]>>
!z = tensor<?x256xbf16, #dsv3.layout<[returned]>>
!table = tensor<8x2xi32>
!counts = tensor<4x2xi32>
!begin = tensor<3xi32>

// Only outputs of experts return.
func.func @f(%y: !x, %m: !meta, %k: !back, %s: !counts, %g: !counts) {
  // expected-error@+1 {{input must be 'tensor<?x256xbf16, #dsv3.layout<[routed]>>'}}
  %z = dsv3.moe_return %y, %m, %k, %s, %g over ep : (!x, !meta, !back, !counts, !counts) -> !z
  return
}

// -----

!ids = tensor<?x2xi32, #dsv3.layout<[tokens]>>
!x = tensor<?x256xbf16, #dsv3.layout<[tokens]>>
!rows = tensor<?x256xbf16, #dsv3.layout<[received]>>
!meta = tensor<?x4xi32, #dsv3.layout<[received]>>
!token = tensor<?xi32, #dsv3.layout<[received]>>
!back = tensor<?x2xi32, #dsv3.layout<[received]>>
!source = tensor<?xi32, #dsv3.layout<[routed]>>
!y = tensor<?x256xbf16, #dsv3.layout<[routed]>>
!z = tensor<?x256xbf16, #dsv3.layout<[returned]>>
!table = tensor<8x2xi32>
!counts = tensor<4x2xi32>
!begin = tensor<3xi32>

// What returned is not what was received.
func.func @f(%y: !y, %m: !meta, %k: !back, %s: !counts, %g: !counts) {
  // expected-error@+1 {{result must be 'tensor<?x256xbf16, #dsv3.layout<[returned]>>'}}
  %z = dsv3.moe_return %y, %m, %k, %s, %g over ep : (!y, !meta, !back, !counts, !counts) -> !rows
  return
}

// -----

!ids = tensor<?x2xi32, #dsv3.layout<[tokens]>>
!x = tensor<?x256xbf16, #dsv3.layout<[tokens]>>
!rows = tensor<?x256xbf16, #dsv3.layout<[received]>>
!meta = tensor<?x4xi32, #dsv3.layout<[received]>>
!token = tensor<?xi32, #dsv3.layout<[received]>>
!back = tensor<?x2xi32, #dsv3.layout<[received]>>
!source = tensor<?xi32, #dsv3.layout<[routed]>>
!y = tensor<?x256xbf16, #dsv3.layout<[routed]>>
!z = tensor<?x256xbf16, #dsv3.layout<[returned]>>
!table = tensor<8x2xi32>
!counts = tensor<4x2xi32>
!begin = tensor<3xi32>

// A sent row has a token.
func.func @f(%ids: !ids, %t: !table, %b: !dsv3.batch, %o: !dsv3.counts<8>) {
  // expected-error@+1 {{send_token must be 'tensor<?xi32, #dsv3.layout<[received]>>'}}
  %r:4 = dsv3.moe_route %ids, %t, %b overflow %o : (!ids, !table, !dsv3.batch, !dsv3.counts<8>) -> (!source, !meta, !ids, !counts)
  return
}

// -----

!ids = tensor<?x2xi32, #dsv3.layout<[tokens]>>
!x = tensor<?x256xbf16, #dsv3.layout<[tokens]>>
!rows = tensor<?x256xbf16, #dsv3.layout<[received]>>
!meta = tensor<?x4xi32, #dsv3.layout<[received]>>
!token = tensor<?xi32, #dsv3.layout<[received]>>
!back = tensor<?x2xi32, #dsv3.layout<[received]>>
!source = tensor<?xi32, #dsv3.layout<[routed]>>
!y = tensor<?x256xbf16, #dsv3.layout<[routed]>>
!z = tensor<?x256xbf16, #dsv3.layout<[returned]>>
!table = tensor<8x2xi32>
!counts = tensor<4x2xi32>
!begin = tensor<3xi32>

// A sent row has a record.
func.func @f(%ids: !ids, %t: !table, %b: !dsv3.batch, %o: !dsv3.counts<8>) {
  // expected-error@+1 {{send_meta must be 'tensor<?x4xi32, #dsv3.layout<[received]>>'}}
  %r:4 = dsv3.moe_route %ids, %t, %b overflow %o : (!ids, !table, !dsv3.batch, !dsv3.counts<8>) -> (!token, !back, !ids, !counts)
  return
}

// -----

!ids = tensor<?x2xi32, #dsv3.layout<[tokens]>>
!x = tensor<?x256xbf16, #dsv3.layout<[tokens]>>
!rows = tensor<?x256xbf16, #dsv3.layout<[received]>>
!meta = tensor<?x4xi32, #dsv3.layout<[received]>>
!token = tensor<?xi32, #dsv3.layout<[received]>>
!back = tensor<?x2xi32, #dsv3.layout<[received]>>
!source = tensor<?xi32, #dsv3.layout<[routed]>>
!y = tensor<?x256xbf16, #dsv3.layout<[routed]>>
!z = tensor<?x256xbf16, #dsv3.layout<[returned]>>
!table = tensor<8x2xi32>
!counts = tensor<4x2xi32>
!begin = tensor<3xi32>

// Rows are packed by the tokens that are sent.
func.func @f(%x: !x, %k: !source) {
  // expected-error@+1 {{send_token must be 'tensor<?xi32, #dsv3.layout<[received]>>'}}
  %r = dsv3.moe_pack %x, %k : (!x, !source) -> !rows
  return
}

// -----

!ids = tensor<?x2xi32, #dsv3.layout<[tokens]>>
!x = tensor<?x256xbf16, #dsv3.layout<[tokens]>>
!rows = tensor<?x256xbf16, #dsv3.layout<[received]>>
!meta = tensor<?x4xi32, #dsv3.layout<[received]>>
!token = tensor<?xi32, #dsv3.layout<[received]>>
!back = tensor<?x2xi32, #dsv3.layout<[received]>>
!source = tensor<?xi32, #dsv3.layout<[routed]>>
!y = tensor<?x256xbf16, #dsv3.layout<[routed]>>
!z = tensor<?x256xbf16, #dsv3.layout<[returned]>>
!table = tensor<8x2xi32>
!counts = tensor<4x2xi32>
!begin = tensor<3xi32>

// What begins is what is awaited.
func.func @f(%r: !rows, %m: !meta, %s: !counts) {
  // expected-error@+1 {{needs parts, one for each pending value, got 1 and 2}}
  %p = dsv3.start all_to_all over ep (%r) label "x" : (!rows) -> !dsv3.pending<!rows, !meta>
  return
}

// -----

!ids = tensor<?x2xi32, #dsv3.layout<[tokens]>>
!x = tensor<?x256xbf16, #dsv3.layout<[tokens]>>
!rows = tensor<?x256xbf16, #dsv3.layout<[received]>>
!meta = tensor<?x4xi32, #dsv3.layout<[received]>>
!token = tensor<?xi32, #dsv3.layout<[received]>>
!back = tensor<?x2xi32, #dsv3.layout<[received]>>
!source = tensor<?xi32, #dsv3.layout<[routed]>>
!y = tensor<?x256xbf16, #dsv3.layout<[routed]>>
!z = tensor<?x256xbf16, #dsv3.layout<[returned]>>
!table = tensor<8x2xi32>
!counts = tensor<4x2xi32>
!begin = tensor<3xi32>

// An exchange changes no type.
func.func @f(%r: !rows, %m: !meta, %s: !counts) {
  // expected-error@+1 {{pending value must be 'tensor<?x256xbf16, #dsv3.layout<[received]>>'}}
  %p = dsv3.start all_to_all over ep (%r) label "x" : (!rows) -> !dsv3.pending<!meta>
  return
}

// -----

!ids = tensor<?x2xi32, #dsv3.layout<[tokens]>>
!x = tensor<?x256xbf16, #dsv3.layout<[tokens]>>
!rows = tensor<?x256xbf16, #dsv3.layout<[received]>>
!meta = tensor<?x4xi32, #dsv3.layout<[received]>>
!token = tensor<?xi32, #dsv3.layout<[received]>>
!back = tensor<?x2xi32, #dsv3.layout<[received]>>
!source = tensor<?xi32, #dsv3.layout<[routed]>>
!y = tensor<?x256xbf16, #dsv3.layout<[routed]>>
!z = tensor<?x256xbf16, #dsv3.layout<[returned]>>
!table = tensor<8x2xi32>
!counts = tensor<4x2xi32>
!begin = tensor<3xi32>

// Only rows are gathered.
func.func @f(%r: !rows, %m: !meta, %s: !counts) {
  // expected-error@+1 {{a part of all_gather must have rows of the step, got 'tensor<4x2xi32>'}}
  %p = dsv3.start all_gather over tp (%s) label "x" : (!counts) -> !dsv3.pending<!counts>
  return
}

// -----

!ids = tensor<?x2xi32, #dsv3.layout<[tokens]>>
!x = tensor<?x256xbf16, #dsv3.layout<[tokens]>>
!rows = tensor<?x256xbf16, #dsv3.layout<[received]>>
!meta = tensor<?x4xi32, #dsv3.layout<[received]>>
!token = tensor<?xi32, #dsv3.layout<[received]>>
!back = tensor<?x2xi32, #dsv3.layout<[received]>>
!source = tensor<?xi32, #dsv3.layout<[routed]>>
!y = tensor<?x256xbf16, #dsv3.layout<[routed]>>
!z = tensor<?x256xbf16, #dsv3.layout<[returned]>>
!table = tensor<8x2xi32>
!counts = tensor<4x2xi32>
!begin = tensor<3xi32>

// Only floats are summed.
func.func @f(%i: !ids) {
  // expected-error@+1 {{sums are of f32 or bf16, got}}
  %p = dsv3.start all_reduce over tp (%i) label "x" : (!ids) -> !dsv3.pending<!ids>
  return
}

// -----

!ids = tensor<?x2xi32, #dsv3.layout<[tokens]>>
!x = tensor<?x256xbf16, #dsv3.layout<[tokens]>>
!rows = tensor<?x256xbf16, #dsv3.layout<[received]>>
!meta = tensor<?x4xi32, #dsv3.layout<[received]>>
!token = tensor<?xi32, #dsv3.layout<[received]>>
!back = tensor<?x2xi32, #dsv3.layout<[received]>>
!source = tensor<?xi32, #dsv3.layout<[routed]>>
!y = tensor<?x256xbf16, #dsv3.layout<[routed]>>
!z = tensor<?x256xbf16, #dsv3.layout<[returned]>>
!table = tensor<8x2xi32>
!counts = tensor<4x2xi32>
!begin = tensor<3xi32>

// A gather takes all of the slice.
func.func @f(%r: !rows, %m: !meta, %s: !counts) {
  // expected-error@+1 {{only an all_to_all is counted}}
  %p = dsv3.start all_gather over tp (%r) counted [0] by %s label "x" : (!rows, !counts) -> !dsv3.pending<!x>
  return
}

// -----

!ids = tensor<?x2xi32, #dsv3.layout<[tokens]>>
!x = tensor<?x256xbf16, #dsv3.layout<[tokens]>>
!rows = tensor<?x256xbf16, #dsv3.layout<[received]>>
!meta = tensor<?x4xi32, #dsv3.layout<[received]>>
!token = tensor<?xi32, #dsv3.layout<[received]>>
!back = tensor<?x2xi32, #dsv3.layout<[received]>>
!source = tensor<?xi32, #dsv3.layout<[routed]>>
!y = tensor<?x256xbf16, #dsv3.layout<[routed]>>
!z = tensor<?x256xbf16, #dsv3.layout<[returned]>>
!table = tensor<8x2xi32>
!counts = tensor<4x2xi32>
!begin = tensor<3xi32>

// Every part has a column, or none.
func.func @f(%r: !rows, %m: !meta, %s: !counts) {
  // expected-error@+1 {{count columns must be 1, got 2}}
  %p = dsv3.start all_to_all over ep (%r) counted [0, 1] by %s label "x" : (!rows, !counts) -> !dsv3.pending<!rows>
  return
}

// -----

!ids = tensor<?x2xi32, #dsv3.layout<[tokens]>>
!x = tensor<?x256xbf16, #dsv3.layout<[tokens]>>
!rows = tensor<?x256xbf16, #dsv3.layout<[received]>>
!meta = tensor<?x4xi32, #dsv3.layout<[received]>>
!token = tensor<?xi32, #dsv3.layout<[received]>>
!back = tensor<?x2xi32, #dsv3.layout<[received]>>
!source = tensor<?xi32, #dsv3.layout<[routed]>>
!y = tensor<?x256xbf16, #dsv3.layout<[routed]>>
!z = tensor<?x256xbf16, #dsv3.layout<[returned]>>
!table = tensor<8x2xi32>
!counts = tensor<4x2xi32>
!begin = tensor<3xi32>

// A column exists.
func.func @f(%r: !rows, %m: !meta, %s: !counts) {
  // expected-error@+1 {{count column 2 is not one of the 2 of 'tensor<4x2xi32>'}}
  %p = dsv3.start all_to_all over ep (%r) counted [2] by %s label "x" : (!rows, !counts) -> !dsv3.pending<!rows>
  return
}

// -----

!ids = tensor<?x2xi32, #dsv3.layout<[tokens]>>
!x = tensor<?x256xbf16, #dsv3.layout<[tokens]>>
!rows = tensor<?x256xbf16, #dsv3.layout<[received]>>
!meta = tensor<?x4xi32, #dsv3.layout<[received]>>
!token = tensor<?xi32, #dsv3.layout<[received]>>
!back = tensor<?x2xi32, #dsv3.layout<[received]>>
!source = tensor<?xi32, #dsv3.layout<[routed]>>
!y = tensor<?x256xbf16, #dsv3.layout<[routed]>>
!z = tensor<?x256xbf16, #dsv3.layout<[returned]>>
!table = tensor<8x2xi32>
!counts = tensor<4x2xi32>
!begin = tensor<3xi32>

// Columns are of counts.
func.func @f(%r: !rows, %m: !meta, %s: !counts) {
  // expected-error@+1 {{has 'counted' if and only if it has counts}}
  %p = "dsv3.start"(%r) {kind = 3 : i32, axis = 2 : i32, columns = array<i64: 0>, label = "x", operandSegmentSizes = array<i32: 1, 0>} : (!rows) -> !dsv3.pending<!rows>
  return
}

// -----

!ids = tensor<?x2xi32, #dsv3.layout<[tokens]>>
!x = tensor<?x256xbf16, #dsv3.layout<[tokens]>>
!rows = tensor<?x256xbf16, #dsv3.layout<[received]>>
!meta = tensor<?x4xi32, #dsv3.layout<[received]>>
!token = tensor<?xi32, #dsv3.layout<[received]>>
!back = tensor<?x2xi32, #dsv3.layout<[received]>>
!source = tensor<?xi32, #dsv3.layout<[routed]>>
!y = tensor<?x256xbf16, #dsv3.layout<[routed]>>
!z = tensor<?x256xbf16, #dsv3.layout<[returned]>>
!table = tensor<8x2xi32>
!counts = tensor<4x2xi32>
!begin = tensor<3xi32>

// An await gives what began.
func.func @f(%p: !dsv3.pending<!rows>) {
  // expected-error@+1 {{must give the values of '!dsv3.pending<tensor<?x256xbf16, #dsv3.layout<[received]>>>'}}
  %r = dsv3.await %p : !dsv3.pending<!rows> -> !meta
  return
}

// -----

// What came from a rank is its rows and pairs.
!meta = tensor<?x4xi32, #dsv3.layout<[received]>>
!back = tensor<?x2xi32, #dsv3.layout<[received]>>
!source = tensor<?xi32, #dsv3.layout<[routed]>>
func.func @f(%meta: !meta, %got: tensor<4x3xi32>, %b: !dsv3.batch) {
  // expected-error@+1 {{got must be 'tensor<4x2xi32>', got 'tensor<4x3xi32>'}}
  %r:3 = dsv3.moe_receive %meta, %got, %b : (!meta, tensor<4x3xi32>, !dsv3.batch) -> (!source, !back, tensor<3xi32>)
  return
}
