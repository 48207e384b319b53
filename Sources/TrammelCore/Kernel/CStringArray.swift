import Glibc

/// Strings as exec(3) takes them.
package enum CStringArray {
    /// - Parameter body: gets an array that ends with nil, for as long as it runs.
    package static func with<R>(
        _ strings: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) throws -> R
    ) rethrows -> R {
        let copies = strings.map { strdup($0) } + [nil]
        defer { for copy in copies { free(copy) } }
        return try copies.withUnsafeBufferPointer { buffer in
            // There is one element at least, the nil at the end.
            guard let base = buffer.baseAddress else { preconditionFailure("an array of strings without its end") }
            return try body(base)
        }
    }
}
