import TrammelCore

/// A VirtualService's HTTP routes, laid out for matching: plain memory with no references in it, so that a request is
/// held against it without touching a reference count.
///
/// Routes hold alternatives (`match` entries, ORed), alternatives hold conditions (ANDed), conditions hold ranges into
/// one arena of bytes.
package final class RouteTable: @unchecked Sendable {
    // Sendable: the memory below is written in `init` only and freed in `deinit`.

    /// The VirtualService.
    package let origin: ResourceReference
    /// In the order of the document; the first that matches decides.
    package let routes: [CompiledRoute]
    let alternativesOfRoutes: UnsafeBufferPointer<Span>
    let alternatives: UnsafeBufferPointer<Alternative>
    let conditions: UnsafeBufferPointer<Condition>
    let arena: UnsafeRawBufferPointer
    /// Owns what `Condition.regex` points to.
    private let expressions: [RegularExpression]

    /// A run of elements of the next array.
    struct Span {
        var first: UInt32
        var count: UInt32
        var indices: Range<Int> { Int(first)..<Int(first) &+ Int(count) }
    }

    struct Alternative {
        var conditions: Span
        /// Where it stands, for `explain`.
        var line: UInt32
    }

    struct Condition {
        enum Subject: UInt8 {
            case path, scheme, method, authority, header, query, port, sourceNamespace, sourceLabel
        }
        enum Test: UInt8 { case exact, prefix, regex, presence }

        var subject: Subject
        var test: Test
        /// `withoutHeaders`.
        var isInverted = false
        /// `ignoreUriCase`; the operand is in lower case then.
        var ignoresCase = false
        var known = FieldName.other
        var port: UInt16 = 0
        /// Of the header (lower case), query parameter or label.
        var name = ByteRange.empty
        var operand = ByteRange.empty
        var regex: OpaquePointer?
    }

    init(origin: ResourceReference, routes: [CompiledRoute], layout: RouteLayout) {
        self.origin = origin
        self.routes = routes
        alternativesOfRoutes = RouteTable.copy(layout.alternativesOfRoutes)
        alternatives = RouteTable.copy(layout.alternatives)
        conditions = RouteTable.copy(layout.conditions)
        arena = UnsafeRawBufferPointer(RouteTable.copy(layout.arena))
        expressions = layout.expressions
    }

    deinit {
        alternativesOfRoutes.deallocate()
        alternatives.deallocate()
        conditions.deallocate()
        arena.deallocate()
    }

    /// The elements are plain bits: nothing is to be done but to give the memory back.
    private static func copy<Element>(_ elements: [Element]) -> UnsafeBufferPointer<Element> {
        let memory = UnsafeMutableBufferPointer<Element>.allocate(capacity: elements.count)
        _ = memory.initialize(from: elements)
        return UnsafeBufferPointer(memory)
    }
}
