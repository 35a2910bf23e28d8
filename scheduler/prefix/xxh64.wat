;; XXH64 of a byte range and chained block hashes (https://github.com/Cyan4973/xxHash, doc/xxhash_spec.md).
;; The caller owns the memory; nothing outside [ptr, ptr + length) is read, and only `out` is written.
;; 64-bit values cross the border as two i32 halves or through memory: an i64 would cost a BigInt a call.
(module
  (import "env" "memory" (memory 1))

  (global $P1 i64 (i64.const 0x9E3779B185EBCA87))
  (global $P2 i64 (i64.const 0xC2B2AE3D27D4EB4F))
  (global $P3 i64 (i64.const 0x165667B19E3779F9))
  (global $P4 i64 (i64.const 0x85EBCA77C2B2AE63))
  (global $P5 i64 (i64.const 0x27D4EB2F165667C5))

  ;; One lane: rotl(accumulator + input * P2, 31) * P1
  (func $round (param $accumulator i64) (param $input i64) (result i64)
    (i64.mul
      (i64.rotl
        (i64.add (local.get $accumulator) (i64.mul (local.get $input) (global.get $P2)))
        (i64.const 31))
      (global.get $P1)))

  ;; Folds a lane into the hash: (hash ^ round(0, lane)) * P1 + P4
  (func $merge (param $hash i64) (param $lane i64) (result i64)
    (i64.add
      (i64.mul
        (i64.xor (local.get $hash) (call $round (i64.const 0) (local.get $lane)))
        (global.get $P1))
      (global.get $P4)))

  ;; Eight more input bytes: rotl(hash ^ round(0, input), 27) * P1 + P4
  (func $mix8 (param $hash i64) (param $input i64) (result i64)
    (i64.add
      (i64.mul
        (i64.rotl
          (i64.xor (local.get $hash) (call $round (i64.const 0) (local.get $input)))
          (i64.const 27))
        (global.get $P1))
      (global.get $P4)))

  (func $avalanche (param $hash i64) (result i64)
    (local.set $hash
      (i64.mul
        (i64.xor (local.get $hash) (i64.shr_u (local.get $hash) (i64.const 33)))
        (global.get $P2)))
    (local.set $hash
      (i64.mul
        (i64.xor (local.get $hash) (i64.shr_u (local.get $hash) (i64.const 29)))
        (global.get $P3)))
    (i64.xor (local.get $hash) (i64.shr_u (local.get $hash) (i64.const 32))))

  (func $hash (param $ptr i32) (param $length i32) (param $seed i64) (result i64)
    (local $end i32)
    (local $stop i32)
    (local $hash i64)
    (local $v1 i64)
    (local $v2 i64)
    (local $v3 i64)
    (local $v4 i64)
    (local.set $end (i32.add (local.get $ptr) (local.get $length)))
    (if (i32.ge_u (local.get $length) (i32.const 32))
      (then
        (local.set $v1
          (i64.add (i64.add (local.get $seed) (global.get $P1)) (global.get $P2)))
        (local.set $v2 (i64.add (local.get $seed) (global.get $P2)))
        (local.set $v3 (local.get $seed))
        (local.set $v4 (i64.sub (local.get $seed) (global.get $P1)))
        (local.set $stop (i32.sub (local.get $end) (i32.const 32)))
        ;; $round written out: the engine does not inline calls, and this loop is where the time goes
        (loop $stripe
          (local.set $v1
            (i64.mul
              (i64.rotl
                (i64.add
                  (local.get $v1)
                  (i64.mul (i64.load (local.get $ptr)) (global.get $P2)))
                (i64.const 31))
              (global.get $P1)))
          (local.set $v2
            (i64.mul
              (i64.rotl
                (i64.add
                  (local.get $v2)
                  (i64.mul (i64.load offset=8 (local.get $ptr)) (global.get $P2)))
                (i64.const 31))
              (global.get $P1)))
          (local.set $v3
            (i64.mul
              (i64.rotl
                (i64.add
                  (local.get $v3)
                  (i64.mul (i64.load offset=16 (local.get $ptr)) (global.get $P2)))
                (i64.const 31))
              (global.get $P1)))
          (local.set $v4
            (i64.mul
              (i64.rotl
                (i64.add
                  (local.get $v4)
                  (i64.mul (i64.load offset=24 (local.get $ptr)) (global.get $P2)))
                (i64.const 31))
              (global.get $P1)))
          (local.set $ptr (i32.add (local.get $ptr) (i32.const 32)))
          (br_if $stripe (i32.le_u (local.get $ptr) (local.get $stop))))
        (local.set $hash
          (i64.add
            (i64.add
              (i64.rotl (local.get $v1) (i64.const 1))
              (i64.rotl (local.get $v2) (i64.const 7)))
            (i64.add
              (i64.rotl (local.get $v3) (i64.const 12))
              (i64.rotl (local.get $v4) (i64.const 18)))))
        (local.set $hash (call $merge (local.get $hash) (local.get $v1)))
        (local.set $hash (call $merge (local.get $hash) (local.get $v2)))
        (local.set $hash (call $merge (local.get $hash) (local.get $v3)))
        (local.set $hash (call $merge (local.get $hash) (local.get $v4))))
      (else
        (local.set $hash (i64.add (local.get $seed) (global.get $P5)))))
    (local.set $hash (i64.add (local.get $hash) (i64.extend_i32_u (local.get $length))))
    (block $no_words
      (loop $words
        (br_if $no_words
          (i32.gt_u (i32.add (local.get $ptr) (i32.const 8)) (local.get $end)))
        (local.set $hash (call $mix8 (local.get $hash) (i64.load (local.get $ptr))))
        (local.set $ptr (i32.add (local.get $ptr) (i32.const 8)))
        (br $words)))
    (if (i32.le_u (i32.add (local.get $ptr) (i32.const 4)) (local.get $end))
      (then
        (local.set $hash
          (i64.add
            (i64.mul
              (i64.rotl
                (i64.xor
                  (local.get $hash)
                  (i64.mul (i64.load32_u (local.get $ptr)) (global.get $P1)))
                (i64.const 23))
              (global.get $P2))
            (global.get $P3)))
        (local.set $ptr (i32.add (local.get $ptr) (i32.const 4)))))
    (block $no_bytes
      (loop $bytes
        (br_if $no_bytes (i32.ge_u (local.get $ptr) (local.get $end)))
        (local.set $hash
          (i64.mul
            (i64.rotl
              (i64.xor
                (local.get $hash)
                (i64.mul (i64.load8_u (local.get $ptr)) (global.get $P5)))
              (i64.const 11))
            (global.get $P1)))
        (local.set $ptr (i32.add (local.get $ptr) (i32.const 1)))
        (br $bytes)))
    (call $avalanche (local.get $hash)))

  (func $join (param $lo i32) (param $hi i32) (result i64)
    (i64.or
      (i64.extend_i32_u (local.get $lo))
      (i64.shl (i64.extend_i32_u (local.get $hi)) (i64.const 32))))

  ;; Writes the hash of [ptr, ptr + length) to `out` (8 bytes, low half first).
  (func (export "xxh64")
    (param $ptr i32) (param $length i32) (param $seedLo i32) (param $seedHi i32) (param $out i32)
    (i64.store
      (local.get $out)
      (call $hash
        (local.get $ptr)
        (local.get $length)
        (call $join (local.get $seedLo) (local.get $seedHi)))))

  ;; h[i] = XXH64(LE64(XXH64(block i)) ‖ LE64(h[i - 1])), h[-1] = root; a last short block counts.
  ;; Writes 8 bytes a block to `out`. Returns the number of blocks.
  (func (export "hash_blocks")
    (param $ptr i32) (param $length i32) (param $blockBytes i32) (param $blocksMax i32)
    (param $rootLo i32) (param $rootHi i32) (param $out i32)
    (result i32)
    (local $end i32)
    (local $count i32)
    (local $size i32)
    (local $previous i64)
    (local.set $end (i32.add (local.get $ptr) (local.get $length)))
    (local.set $previous (call $join (local.get $rootLo) (local.get $rootHi)))
    (block $done
      (loop $blocks
        (br_if $done (i32.ge_u (local.get $ptr) (local.get $end)))
        (br_if $done (i32.ge_u (local.get $count) (local.get $blocksMax)))
        (local.set $size (i32.sub (local.get $end) (local.get $ptr)))
        (if (i32.gt_u (local.get $size) (local.get $blockBytes))
          (then (local.set $size (local.get $blockBytes))))
        ;; XXH64 of 16 bytes, seed 0, without a detour through memory
        (local.set $previous
          (call $avalanche
            (call $mix8
              (call $mix8
                (i64.add (global.get $P5) (i64.const 16))
                (call $hash (local.get $ptr) (local.get $size) (i64.const 0)))
              (local.get $previous))))
        (i64.store (local.get $out) (local.get $previous))
        (local.set $out (i32.add (local.get $out) (i32.const 8)))
        (local.set $ptr (i32.add (local.get $ptr) (local.get $size)))
        (local.set $count (i32.add (local.get $count) (i32.const 1)))
        (br $blocks)))
    (local.get $count)))
