;; A filter for Envoy (proxy-wasm 0.2): maps Location and the cookie's path of answers back to /app.
(module
  (import "env" "proxy_get_header_map_value"
    (func $get (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_replace_header_map_value"
    (func $replace (param i32 i32 i32 i32 i32) (result i32)))

  ;; The first page: texts, what the host returns (at 0), what it asked room for (from 1024 on).
  ;; The second: the new value.
  (memory (export "memory") 2)
  (data (i32.const 16) "location")
  (data (i32.const 32) "set-cookie")
  (data (i32.const 48) "/Test/")
  (data (i32.const 64) "/app/")
  (data (i32.const 80) "Path=/Test")
  (data (i32.const 96) "Path=/app")
  (global $free (mut i32) (i32.const 1024))

  (func (export "proxy_abi_version_0_2_0"))
  (func (export "_initialize"))
  (func (export "proxy_on_vm_start") (param i32 i32) (result i32) (i32.const 1))
  (func (export "proxy_on_configure") (param i32 i32) (result i32) (i32.const 1))
  (func (export "proxy_on_context_create") (param i32 i32))
  (func (export "proxy_on_done") (param i32) (result i32) (i32.const 1))
  (func (export "proxy_on_delete") (param i32))

  ;; Room until the end of the page; whoever asks for more gets none.
  (func (export "proxy_on_memory_allocate") (param $size i32) (result i32)
    (local $at i32)
    (local.set $at (global.get $free))
    (if (i32.gt_u (local.get $size) (i32.sub (i32.const 65536) (local.get $at)))
      (then (return (i32.const 0))))
    (global.set $free (i32.add (local.get $at) (local.get $size)))
    (local.get $at))

  ;; Whether `size` bytes at two places are the same.
  (func $same (param $one i32) (param $other i32) (param $size i32) (result i32)
    (block $differs
      (loop $next
        (if (i32.eqz (local.get $size)) (then (return (i32.const 1))))
        (br_if $differs
          (i32.ne (i32.load8_u (local.get $one)) (i32.load8_u (local.get $other))))
        (local.set $one (i32.add (local.get $one) (i32.const 1)))
        (local.set $other (i32.add (local.get $other) (i32.const 1)))
        (local.set $size (i32.sub (local.get $size) (i32.const 1)))
        (br $next)))
    (i32.const 0))

  ;; Replaces the first `from` in a header's value by `to`; with `drop`, all before it as well.
  (func $rewrite
    (param $name i32) (param $name_size i32)
    (param $from i32) (param $from_size i32)
    (param $to i32) (param $to_size i32)
    (param $drop i32)
    (local $value i32) (local $size i32) (local $at i32) (local $kept i32) (local $rest i32)
    (global.set $free (i32.const 1024))
    (if (call $get (i32.const 2) (local.get $name) (local.get $name_size) (i32.const 0) (i32.const 4))
      (then (return)))
    (local.set $value (i32.load (i32.const 0)))
    (local.set $size (i32.load (i32.const 4)))
    (if (i32.lt_u (local.get $size) (local.get $from_size)) (then (return)))
    (block $found
      (loop $next
        (br_if $found
          (call $same
            (i32.add (local.get $value) (local.get $at)) (local.get $from) (local.get $from_size)))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br_if $next
          (i32.le_u (i32.add (local.get $at) (local.get $from_size)) (local.get $size))))
      (return))
    (if (i32.eqz (local.get $drop)) (then (local.set $kept (local.get $at))))
    (local.set $rest
      (i32.sub (local.get $size) (i32.add (local.get $at) (local.get $from_size))))
    (memory.copy (i32.const 65536) (local.get $value) (local.get $kept))
    (memory.copy
      (i32.add (i32.const 65536) (local.get $kept)) (local.get $to) (local.get $to_size))
    (memory.copy
      (i32.add (i32.const 65536) (i32.add (local.get $kept) (local.get $to_size)))
      (i32.add (local.get $value) (i32.add (local.get $at) (local.get $from_size)))
      (local.get $rest))
    (drop
      (call $replace
        (i32.const 2) (local.get $name) (local.get $name_size) (i32.const 65536)
        (i32.add (i32.add (local.get $kept) (local.get $to_size)) (local.get $rest)))))

  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
    (call $rewrite
      (i32.const 16) (i32.const 8) (i32.const 48) (i32.const 6) (i32.const 64) (i32.const 5)
      (i32.const 1))
    (call $rewrite
      (i32.const 32) (i32.const 10) (i32.const 80) (i32.const 10) (i32.const 96) (i32.const 9)
      (i32.const 0))
    (i32.const 0)))
