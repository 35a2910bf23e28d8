;; JSON at the level of bytes: find the end of a value while proving that it is valid (RFC 8259, the same documents that
;; JSON.parse accepts), and copy strings and token ids out of proven values.
;;
;; The text must be followed by at least 64 zero bytes. Zero is not allowed anywhere in JSON, so it stops every loop and no
;; loop checks for the end; 16 bytes are read at a time.
;; A position where the text is wrong comes back as its complement (-1 - position), so valid positions are >= 0.
(module
  (import "env" "memory" (memory 1))

  ;; Deepest nesting accepted, as in Go's encoding/json; beyond it `skip_value` gives TOO_DEEP.
  (global $DEPTH_MAX i32 (i32.const 10000))
  (global $TOO_DEEP i32 (i32.const 0x80000000))

  ;; First position at or after p that is not space, tab, line feed or carriage return. Callers look first whether there is
  ;; anything to skip (a byte up to 0x20), which is cheaper than the call.
  (func $skip_space (export "skip_space") (param $p i32) (result i32)
    (local $byte i32)
    (loop $next
      (local.set $byte (i32.load8_u (local.get $p)))
      (if
        (i32.or
          (i32.or
            (i32.eq (local.get $byte) (i32.const 0x20))
            (i32.eq (local.get $byte) (i32.const 0x0A)))
          (i32.or
            (i32.eq (local.get $byte) (i32.const 0x0D))
            (i32.eq (local.get $byte) (i32.const 0x09))))
        (then
          (local.set $p (i32.add (local.get $p) (i32.const 1)))
          (br $next))))
    (local.get $p))

  ;; p is behind the opening quote. Returns the position behind the closing quote.
  ;; 16 bytes at a time become a mask of those that are special; its bits are worked off one by one, so that a text full of
  ;; escapes costs a few instructions an escape and no reload.
  (func $skip_string (export "skip_string") (param $p i32) (result i32)
    (local $chunk v128)
    (local $quotes v128)
    (local $backslashes v128)
    (local $controls v128)
    (local $mask i32)
    (local $at i32)
    (local $byte i32)
    (local.set $quotes (i8x16.splat (i32.const 0x22)))
    (local.set $backslashes (i8x16.splat (i32.const 0x5C)))
    (local.set $controls (i8x16.splat (i32.const 0x1F)))
    (block $wrong
      (loop $chunks
        (local.set $chunk (v128.load (local.get $p)))
        (local.set $mask
          (i8x16.bitmask
            (v128.or
              (v128.or
                (i8x16.eq (local.get $chunk) (local.get $quotes))
                (i8x16.eq (local.get $chunk) (local.get $backslashes)))
              ;; at most 0x1F
              (i8x16.eq
                (i8x16.min_u (local.get $chunk) (local.get $controls))
                (local.get $chunk)))))
        (loop $specials
          (if (i32.eqz (local.get $mask))
            (then
              (local.set $p (i32.add (local.get $p) (i32.const 16)))
              (br $chunks)))
          (local.set $at (i32.add (local.get $p) (i32.ctz (local.get $mask))))
          (local.set $byte (i32.load8_u (local.get $at)))
          (if (i32.eq (local.get $byte) (i32.const 0x22))
            (then (return (i32.add (local.get $at) (i32.const 1)))))
          ;; what is left is an escape or a control character
          (if (i32.ne (local.get $byte) (i32.const 0x5C))
            (then (return (i32.xor (local.get $at) (i32.const -1)))))
          (local.set $byte (i32.load8_u offset=1 (local.get $at)))
          (if (i32.load8_u offset=0x5000 (local.get $byte))
            (then
              (if (i32.eq (local.get $at) (i32.add (local.get $p) (i32.const 15)))
                (then
                  (local.set $p (i32.add (local.get $p) (i32.const 17)))
                  (br $chunks)))
              ;; done with the backslash and with the byte behind it, which may be one too
              (local.set $mask
                (i32.and
                  (local.get $mask)
                  (i32.shl (i32.const -4) (i32.ctz (local.get $mask)))))
              (br $specials)))
          (br_if $wrong (i32.ne (local.get $byte) (i32.const 0x75))) ;; u
          ;; texts in other scripts may be nothing but these: stay here as long as one follows the other
          (loop $unicode
            (br_if $wrong
              (i32.eqz
                (i32.and
                  (i32.and
                    (i32.load8_u offset=0x5100 (i32.load8_u offset=2 (local.get $at)))
                    (i32.load8_u offset=0x5100 (i32.load8_u offset=3 (local.get $at))))
                  (i32.and
                    (i32.and
                      (i32.load8_u offset=0x5100 (i32.load8_u offset=4 (local.get $at)))
                      (i32.load8_u offset=0x5100 (i32.load8_u offset=5 (local.get $at))))
                    (i32.const 0x10)))))
            (local.set $at (i32.add (local.get $at) (i32.const 6)))
            (br_if $unicode (i32.eq (i32.load16_u (local.get $at)) (i32.const 0x755C))))
          (local.set $p (local.get $at))
          (br $chunks))))
    (i32.xor (i32.add (local.get $at) (i32.const 1)) (i32.const -1)))

  ;; Character that a one-letter escape stands for, at ESCAPES + letter; 0 when there is no such escape.
  ;; ESCAPES lies in the part of the hasher's memory that is left to others (block-hash.ts).
  (data (i32.const 0x5022) "\22") ;; \"
  (data (i32.const 0x502F) "\2F") ;; \/
  (data (i32.const 0x505C) "\5C") ;; \\
  (data (i32.const 0x5062) "\08") ;; \b
  (data (i32.const 0x5066) "\0C") ;; \f
  (data (i32.const 0x506E) "\0A") ;; \n
  (data (i32.const 0x5072) "\0D") ;; \r
  (data (i32.const 0x5074) "\09") ;; \t

  ;; 0x10 + value of a hexadecimal digit, at HEX = 0x5100 + digit; 0 for other bytes.
  (data (i32.const 0x5130) "\10\11\12\13\14\15\16\17\18\19")
  (data (i32.const 0x5141) "\1A\1B\1C\1D\1E\1F")
  (data (i32.const 0x5161) "\1A\1B\1C\1D\1E\1F")

  ;; Bit 7 of each byte of 8 that is no digit; `text` is already XORed with "00000000". Above the lowest such byte the
  ;; bits mean nothing.
  (func $no_digits (param $text i64) (result i64)
    (i64.and
      (i64.or
        (i64.add (local.get $text) (i64.const 0x7676767676767676))
        (local.get $text))
      (i64.const 0x8080808080808080)))

  ;; First position at or after p that is no decimal digit.
  (func $skip_digits (param $p i32) (result i32)
    (local $ends i64)
    (loop $next
      (local.set $ends
        (call $no_digits
          (i64.xor (i64.load (local.get $p)) (i64.const 0x3030303030303030))))
      (if (i64.eqz (local.get $ends))
        (then
          (local.set $p (i32.add (local.get $p) (i32.const 8)))
          (br $next))))
    (i32.add
      (local.get $p)
      (i32.wrap_i64 (i64.shr_u (i64.ctz (local.get $ends)) (i64.const 3)))))

  ;; p is at '-' or a digit. Returns the position behind the number.
  (func $skip_number (param $p i32) (result i32)
    (local $q i32)
    (local $byte i32)
    (if (i32.eq (i32.load8_u (local.get $p)) (i32.const 0x2D))
      (then (local.set $p (i32.add (local.get $p) (i32.const 1)))))
    (if (i32.eq (i32.load8_u (local.get $p)) (i32.const 0x30))
      (then (local.set $q (i32.add (local.get $p) (i32.const 1)))) ;; no digit may follow a leading zero
      (else
        (local.set $q (call $skip_digits (local.get $p)))
        (if (i32.eq (local.get $q) (local.get $p))
          (then (return (i32.xor (local.get $p) (i32.const -1)))))))
    (if (i32.eq (i32.load8_u (local.get $q)) (i32.const 0x2E)) ;; .
      (then
        (local.set $p (i32.add (local.get $q) (i32.const 1)))
        (local.set $q (call $skip_digits (local.get $p)))
        (if (i32.eq (local.get $q) (local.get $p))
          (then (return (i32.xor (local.get $p) (i32.const -1)))))))
    (if (i32.eq (i32.or (i32.load8_u (local.get $q)) (i32.const 0x20)) (i32.const 0x65)) ;; e E
      (then
        (local.set $p (i32.add (local.get $q) (i32.const 1)))
        (local.set $byte (i32.load8_u (local.get $p)))
        (if
          (i32.or
            (i32.eq (local.get $byte) (i32.const 0x2B))
            (i32.eq (local.get $byte) (i32.const 0x2D)))
          (then (local.set $p (i32.add (local.get $p) (i32.const 1)))))
        (local.set $q (call $skip_digits (local.get $p)))
        (if (i32.eq (local.get $q) (local.get $p))
          (then (return (i32.xor (local.get $p) (i32.const -1)))))))
    (local.get $q))

  ;; p is at or before the opening quote of a member's name. Returns the position behind the colon.
  (func $skip_name (param $p i32) (result i32)
    (if (i32.le_u (i32.load8_u (local.get $p)) (i32.const 0x20))
      (then (local.set $p (call $skip_space (local.get $p)))))
    (if (i32.ne (i32.load8_u (local.get $p)) (i32.const 0x22))
      (then (return (i32.xor (local.get $p) (i32.const -1)))))
    (local.set $p (call $skip_string (i32.add (local.get $p) (i32.const 1))))
    (if (i32.lt_s (local.get $p) (i32.const 0)) (then (return (local.get $p))))
    (if (i32.le_u (i32.load8_u (local.get $p)) (i32.const 0x20))
      (then (local.set $p (call $skip_space (local.get $p)))))
    (if (i32.ne (i32.load8_u (local.get $p)) (i32.const 0x3A))
      (then (return (i32.xor (local.get $p) (i32.const -1)))))
    (i32.add (local.get $p) (i32.const 1)))

  ;; p is at or before the first byte of a value. Returns the position behind it.
  ;; `stack` points to DEPTH_MAX free bytes: the closing bracket that each open container waits for.
  (func (export "skip_value") (param $p i32) (param $stack i32) (result i32)
    (local $depth i32)
    (local $byte i32)
    (local $closing i32)
    (loop $value
      (if (i32.le_u (i32.load8_u (local.get $p)) (i32.const 0x20))
        (then (local.set $p (call $skip_space (local.get $p)))))
      (local.set $byte (i32.load8_u (local.get $p)))
      (block $done
        (if (i32.eq (local.get $byte) (i32.const 0x22))
          (then
            (local.set $p (call $skip_string (i32.add (local.get $p) (i32.const 1))))
            (if (i32.lt_s (local.get $p) (i32.const 0)) (then (return (local.get $p))))
            (br $done)))
        (if
          (i32.or
            (i32.lt_u (i32.sub (local.get $byte) (i32.const 0x30)) (i32.const 10))
            (i32.eq (local.get $byte) (i32.const 0x2D)))
          (then
            (local.set $p (call $skip_number (local.get $p)))
            (if (i32.lt_s (local.get $p) (i32.const 0)) (then (return (local.get $p))))
            (br $done)))
        ;; '{' and '[' differ in bit 5 only, and so do their counterparts two further on
        (if (i32.eq (i32.or (local.get $byte) (i32.const 0x20)) (i32.const 0x7B))
          (then
            (if (i32.eq (local.get $depth) (global.get $DEPTH_MAX))
              (then (return (global.get $TOO_DEEP))))
            (local.set $closing (i32.add (local.get $byte) (i32.const 2)))
            (local.set $p (i32.add (local.get $p) (i32.const 1)))
            (if (i32.le_u (i32.load8_u (local.get $p)) (i32.const 0x20))
              (then (local.set $p (call $skip_space (local.get $p)))))
            (if (i32.eq (i32.load8_u (local.get $p)) (local.get $closing))
              (then
                (local.set $p (i32.add (local.get $p) (i32.const 1)))
                (br $done)))
            (i32.store8 (i32.add (local.get $stack) (local.get $depth)) (local.get $closing))
            (local.set $depth (i32.add (local.get $depth) (i32.const 1)))
            (if (i32.eq (local.get $closing) (i32.const 0x7D))
              (then
                (local.set $p (call $skip_name (local.get $p)))
                (if (i32.lt_s (local.get $p) (i32.const 0)) (then (return (local.get $p))))))
            (br $value)))
        (if (i32.eq (i32.load (local.get $p)) (i32.const 0x65757274)) ;; true
          (then
            (local.set $p (i32.add (local.get $p) (i32.const 4)))
            (br $done)))
        (if (i32.eq (i32.load (local.get $p)) (i32.const 0x6C6C756E)) ;; null
          (then
            (local.set $p (i32.add (local.get $p) (i32.const 4)))
            (br $done)))
        (if
          (i32.and
            (i32.eq (i32.load (local.get $p)) (i32.const 0x736C6166)) ;; fals
            (i32.eq (i32.load8_u offset=4 (local.get $p)) (i32.const 0x65)))
          (then
            (local.set $p (i32.add (local.get $p) (i32.const 5)))
            (br $done)))
        (return (i32.xor (local.get $p) (i32.const -1))))
      ;; behind a value: close containers as long as they end here
      (loop $close
        (if (i32.eqz (local.get $depth)) (then (return (local.get $p))))
        (if (i32.le_u (i32.load8_u (local.get $p)) (i32.const 0x20))
          (then (local.set $p (call $skip_space (local.get $p)))))
        (local.set $byte (i32.load8_u (local.get $p)))
        (local.set $closing
          (i32.load8_u
            (i32.sub (i32.add (local.get $stack) (local.get $depth)) (i32.const 1))))
        (if (i32.eq (local.get $byte) (i32.const 0x2C))
          (then
            (local.set $p (i32.add (local.get $p) (i32.const 1)))
            (if (i32.eq (local.get $closing) (i32.const 0x7D))
              (then
                (local.set $p (call $skip_name (local.get $p)))
                (if (i32.lt_s (local.get $p) (i32.const 0)) (then (return (local.get $p))))))
            (br $value)))
        (if (i32.ne (local.get $byte) (local.get $closing))
          (then (return (i32.xor (local.get $p) (i32.const -1)))))
        (local.set $p (i32.add (local.get $p) (i32.const 1)))
        (local.set $depth (i32.sub (local.get $depth) (i32.const 1)))
        (br $close)))
    (unreachable))

  ;; Four proven hexadecimal digits at p.
  (func $hex4 (param $p i32) (result i32)
    (i32.and
      (i32.or
        (i32.or
          (i32.shl (i32.load8_u offset=0x5100 (i32.load8_u (local.get $p))) (i32.const 12))
          (i32.shl
            (i32.and (i32.load8_u offset=0x5100 (i32.load8_u offset=1 (local.get $p))) (i32.const 0xF))
            (i32.const 8)))
        (i32.or
          (i32.shl
            (i32.and (i32.load8_u offset=0x5100 (i32.load8_u offset=2 (local.get $p))) (i32.const 0xF))
            (i32.const 4))
          (i32.and (i32.load8_u offset=0x5100 (i32.load8_u offset=3 (local.get $p))) (i32.const 0xF))))
      (i32.const 0xFFFF)))

  ;; Copies the proven string contents [src, end) (without quotes) to dst, escapes resolved; a surrogate without its
  ;; partner becomes U+FFFD. At most the bytes up to dstEnd are the copy's; up to 16 more may be overwritten with garbage.
  ;; dst > dstEnd: nothing is written. Returns the length of the whole resolved string.
  (func (export "copy_string")
    (param $src i32) (param $end i32) (param $dst i32) (param $dstEnd i32) (result i32)
    (local $start i32)
    (local $backslashes v128)
    (local $chunkEnd i32)
    (local $mask i32) ;; bit i: a backslash at chunkEnd - 16 + i that is still to be worked off
    (local $at i32)
    (local $char i32)
    (local $low i32)
    (local.set $start (local.get $dst))
    (local.set $backslashes (i8x16.splat (i32.const 0x5C)))
    (block $done
      (loop $chunks
        (br_if $done (i32.ge_u (local.get $src) (local.get $end)))
        (local.set $chunkEnd (i32.add (local.get $src) (i32.const 16)))
        (local.set $mask
          (i8x16.bitmask (i8x16.eq (v128.load (local.get $src)) (local.get $backslashes))))
        (loop $runs
          ;; up to the next escape: 16 bytes are written, as many count as there are
          (if (i32.le_u (local.get $dst) (local.get $dstEnd))
            (then (v128.store (local.get $dst) (v128.load (local.get $src)))))
          (if (i32.eqz (local.get $mask))
            (then
              (local.set $dst
                (i32.add (local.get $dst) (i32.sub (local.get $chunkEnd) (local.get $src))))
              (local.set $src (local.get $chunkEnd))
              (br $chunks)))
          (local.set $at
            (i32.add
              (i32.sub (local.get $chunkEnd) (i32.const 16))
              (i32.ctz (local.get $mask))))
          (local.set $dst
            (i32.add (local.get $dst) (i32.sub (local.get $at) (local.get $src))))
          (local.set $src (local.get $at))
          (br_if $done (i32.ge_u (local.get $src) (local.get $end)))
          (local.set $char (i32.load8_u offset=1 (local.get $src)))
          (if (i32.ne (local.get $char) (i32.const 0x75)) ;; u
            (then
              (if (i32.le_u (local.get $dst) (local.get $dstEnd))
                (then
                  (i32.store8 (local.get $dst) (i32.load8_u offset=0x5000 (local.get $char)))))
              (local.set $dst (i32.add (local.get $dst) (i32.const 1)))
              (local.set $src (i32.add (local.get $src) (i32.const 2)))
              (br_if $chunks (i32.ge_u (local.get $src) (local.get $chunkEnd)))
              ;; done with the backslash and with the byte behind it, which may be one too
              (local.set $mask
                (i32.and
                  (local.get $mask)
                  (i32.shl (i32.const -4) (i32.ctz (local.get $mask)))))
              (br $runs))))
        (loop $unicode
          (local.set $char (call $hex4 (i32.add (local.get $src) (i32.const 2))))
          (local.set $src (i32.add (local.get $src) (i32.const 6)))
          (if (i32.eq (i32.and (local.get $char) (i32.const 0xF800)) (i32.const 0xD800))
            (then
              ;; a pair only when a low half follows as an escape of its own
              (local.set $low (i32.const 0))
              (if
                (i32.and
                  (i32.lt_u (local.get $char) (i32.const 0xDC00))
                  (i32.and
                    (i32.lt_u (local.get $src) (local.get $end))
                    (i32.eq (i32.load16_u (local.get $src)) (i32.const 0x755C))))
                (then (local.set $low (call $hex4 (i32.add (local.get $src) (i32.const 2))))))
              (if (i32.eq (i32.and (local.get $low) (i32.const 0xFC00)) (i32.const 0xDC00))
                (then
                  (local.set $char
                    (i32.add
                      (i32.add
                        (i32.shl (i32.and (local.get $char) (i32.const 0x3FF)) (i32.const 10))
                        (i32.and (local.get $low) (i32.const 0x3FF)))
                      (i32.const 0x10000)))
                  (local.set $src (i32.add (local.get $src) (i32.const 6))))
                (else (local.set $char (i32.const 0xFFFD))))))
          (local.set $dst
            (call $put_utf8 (local.get $char) (local.get $dst) (local.get $dstEnd)))
          (br_if $done (i32.ge_u (local.get $src) (local.get $end)))
          (br_if $unicode (i32.eq (i32.load16_u (local.get $src)) (i32.const 0x755C))))
        (br $chunks)))
    ;; the last chunk may have gone past the end, by as much in the source as in the copy
    (i32.sub
      (i32.sub (local.get $dst) (local.get $start))
      (i32.sub (local.get $src) (local.get $end))))

  ;; Writes one code point unless dst > dstEnd. Returns the position behind it.
  (func $put_utf8 (param $char i32) (param $dst i32) (param $dstEnd i32) (result i32)
    (local $bytes i32)
    (local $length i32)
    (if (i32.lt_u (local.get $char) (i32.const 0x80))
      (then
        (local.set $bytes (local.get $char))
        (local.set $length (i32.const 1)))
      (else
        (if (i32.lt_u (local.get $char) (i32.const 0x800))
          (then
            (local.set $bytes
              (i32.or
                (i32.or (i32.const 0x80C0) (i32.shr_u (local.get $char) (i32.const 6)))
                (i32.shl (i32.and (local.get $char) (i32.const 0x3F)) (i32.const 8))))
            (local.set $length (i32.const 2)))
          (else
            (if (i32.lt_u (local.get $char) (i32.const 0x10000))
              (then
                (local.set $bytes
                  (i32.or
                    (i32.or (i32.const 0x8080E0) (i32.shr_u (local.get $char) (i32.const 12)))
                    (i32.or
                      (i32.shl
                        (i32.and (i32.shr_u (local.get $char) (i32.const 6)) (i32.const 0x3F))
                        (i32.const 8))
                      (i32.shl (i32.and (local.get $char) (i32.const 0x3F)) (i32.const 16)))))
                (local.set $length (i32.const 3)))
              (else
                (local.set $bytes
                  (i32.or
                    (i32.or
                      (i32.or (i32.const 0x808080F0) (i32.shr_u (local.get $char) (i32.const 18)))
                      (i32.shl
                        (i32.and (i32.shr_u (local.get $char) (i32.const 12)) (i32.const 0x3F))
                        (i32.const 8)))
                    (i32.or
                      (i32.shl
                        (i32.and (i32.shr_u (local.get $char) (i32.const 6)) (i32.const 0x3F))
                        (i32.const 16))
                      (i32.shl (i32.and (local.get $char) (i32.const 0x3F)) (i32.const 24)))))
                (local.set $length (i32.const 4))))))))
    (if (i32.le_u (local.get $dst) (local.get $dstEnd))
      (then (i32.store (local.get $dst) (local.get $bytes))))
    (i32.add (local.get $dst) (local.get $length)))

  ;; Copies the numbers of a proven array as u32; p is behind its opening bracket. Every element must be a plain integer
  ;; from 0 to 2^32 - 1. Writes while dst + 4 <= dstEnd. Returns the number of elements, -1 when one is something else.
  (func (export "copy_ids") (param $p i32) (param $dst i32) (param $dstEnd i32) (result i32)
    (local $count i32)
    (local $text i64)
    (local $value i64)
    (local $ends i64)
    (local $end i32)
    (local $byte i32)
    (loop $element
      (if (i32.le_u (i32.load8_u (local.get $p)) (i32.const 0x20))
        (then (local.set $p (call $skip_space (local.get $p)))))
      (local.set $text
        (i64.xor (i64.load (local.get $p)) (i64.const 0x3030303030303030)))
      (local.set $ends (call $no_digits (local.get $text)))
      (local.set $end
        (i32.add
          (local.get $p)
          (i32.wrap_i64 (i64.shr_u (i64.ctz (local.get $ends)) (i64.const 3)))))
      (if (i32.eq (local.get $end) (local.get $p)) (then (return (i32.const -1))))
      ;; up to 8 digits, first digit in the lowest byte: shift zeros in front, then add up pairs, fours, eights
      (if (i32.lt_u (i32.sub (local.get $end) (local.get $p)) (i32.const 8))
        (then
          (local.set $text
            (i64.shl
              (local.get $text)
              (i64.sub (i64.const 64) (i64.and (i64.ctz (local.get $ends)) (i64.const 0x78)))))))
      (local.set $value
        (i64.add
          (i64.mul (local.get $text) (i64.const 10))
          (i64.shr_u (local.get $text) (i64.const 8))))
      (local.set $value
        (i64.shr_u
          (i64.add
            (i64.mul
              (i64.and (local.get $value) (i64.const 0x000000FF000000FF))
              (i64.const 0x000F424000000064)) ;; 100 + (1,000,000 << 32)
            (i64.mul
              (i64.and (i64.shr_u (local.get $value) (i64.const 16)) (i64.const 0x000000FF000000FF))
              (i64.const 0x0000271000000001))) ;; 1 + (10,000 << 32)
          (i64.const 32)))
      ;; a ninth and a tenth digit; more can not be 32 bits, since there are no leading zeros
      (local.set $p (local.get $end))
      (loop $digit
        (local.set $byte (i32.sub (i32.load8_u (local.get $p)) (i32.const 0x30)))
        (if (i32.lt_u (local.get $byte) (i32.const 10))
          (then
            (local.set $value
              (i64.add
                (i64.mul (local.get $value) (i64.const 10))
                (i64.extend_i32_u (local.get $byte))))
            (if (i64.gt_u (local.get $value) (i64.const 0xFFFFFFFF))
              (then (return (i32.const -1))))
            (local.set $p (i32.add (local.get $p) (i32.const 1)))
            (br $digit))))
      (if (i32.le_u (i32.add (local.get $dst) (i32.const 4)) (local.get $dstEnd))
        (then (i64.store32 (local.get $dst) (local.get $value))))
      (local.set $dst (i32.add (local.get $dst) (i32.const 4)))
      (local.set $count (i32.add (local.get $count) (i32.const 1)))
      (if (i32.le_u (i32.load8_u (local.get $p)) (i32.const 0x20))
        (then (local.set $p (call $skip_space (local.get $p)))))
      (local.set $byte (i32.load8_u (local.get $p)))
      (local.set $p (i32.add (local.get $p) (i32.const 1)))
      (br_if $element (i32.eq (local.get $byte) (i32.const 0x2C))))
    (if (result i32) (i32.eq (local.get $byte) (i32.const 0x5D))
      (then (local.get $count))
      (else (i32.const -1)))))
