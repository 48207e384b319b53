import Glibc
import TrammelFuzzTargets

/// The entry point of libFuzzer; built by `Tests/Fuzz/run` only. TRAMMEL_FUZZ_TARGET names the target.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    target.run(UnsafeRawBufferPointer(start: data, count: count))
    return 0
}

private let target: FuzzTarget = {
    let name = getenv("TRAMMEL_FUZZ_TARGET").map { String(cString: $0) } ?? ""
    guard let target = FuzzTarget.named(name) else {
        print("TRAMMEL_FUZZ_TARGET is \"\(name)\"; it has to be one of \(FuzzTarget.all.map(\.name))")
        exit(2)
    }
    return target
}()
