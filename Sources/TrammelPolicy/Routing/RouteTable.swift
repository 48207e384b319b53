/// A VirtualService's routes, compiled; owns the `RouteProgram` that requests are held against.
package final class RouteTable: @unchecked Sendable {
    // Sendable: the memory that `program` points to is written in `init` only and freed in `deinit`.

    /// The VirtualService.
    package let origin: ResourceReference
    /// In the order of the document; the first that matches decides.
    package let routes: [CompiledRoute]
    package let streams: StreamTable
    let program: UnsafePointer<RouteProgram>
    /// Owns what the conditions' regexes point to.
    private let expressions: [RegularExpression]

    init(origin: ResourceReference, routes: [CompiledRoute], layout: RouteLayout, streams: StreamTable) {
        self.origin = origin
        self.routes = routes
        self.streams = streams
        expressions = layout.expressions

        var plans: [RouteProgram.Route] = []
        var destinations: [RouteProgram.Destination] = []
        var targets: [RouteProgram.Target] = []
        for (route, alternatives) in zip(routes, layout.alternativesOfRoutes) {
            let first = destinations.count
            for (destination, bound) in zip(route.split?.destinations ?? [], route.split?.bounds ?? []) {
                let firstTarget = targets.count
                targets += destination.targets.map {
                    RouteProgram.Target(port: $0.port, cluster: ClusterReference($0.cluster))
                }
                destinations.append(
                    RouteProgram.Destination(
                        bound: bound, destination: .passUnretained(destination),
                        requestEdits: destination.requestEdits.map { .passUnretained($0) },
                        responseEdits: destination.responseEdits.map { .passUnretained($0) },
                        targets: RouteProgram.Span(firstTarget, upTo: targets.count)))
            }
            plans.append(
                RouteProgram.Route(
                    alternatives: alternatives, route: .passUnretained(route),
                    responseEdits: route.responseEdits.map { .passUnretained($0) },
                    response: route.response.map { .passUnretained($0) },
                    destinations: RouteProgram.Span(first, upTo: destinations.count),
                    total: route.split?.total ?? 0))
        }
        let memory = UnsafeMutablePointer<RouteProgram>.allocate(capacity: 1)
        program = UnsafePointer(memory)
        memory.initialize(
            to: RouteProgram(
                owner: .passUnretained(self), routes: RouteTable.copy(plans),
                alternatives: RouteTable.copy(layout.alternatives), conditions: RouteTable.copy(layout.conditions),
                destinations: RouteTable.copy(destinations), targets: RouteTable.copy(targets),
                arena: UnsafeRawBufferPointer(RouteTable.copy(layout.arena)), hasStreams: !streams.isEmpty))
    }

    deinit {
        program.pointee.routes.deallocate()
        program.pointee.alternatives.deallocate()
        program.pointee.conditions.deallocate()
        program.pointee.destinations.deallocate()
        program.pointee.targets.deallocate()
        program.pointee.arena.deallocate()
        program.deallocate()
    }

    /// The elements are plain bits: nothing is to be done at the end but to give the memory back.
    private static func copy<Element>(_ elements: [Element]) -> UnsafeBufferPointer<Element> {
        let memory = UnsafeMutableBufferPointer<Element>.allocate(capacity: elements.count)
        _ = memory.initialize(from: elements)
        return UnsafeBufferPointer(memory)
    }
}
