package import TrammelCore

/// What becomes of a connection or request that arrives at an attached workload from elsewhere.
package struct InboundDecision: Sendable {
    package enum Verdict: Sendable {
        /// To the application, at the port that was asked for.
        case forward
    }

    package let verdict: Verdict
    /// The port of the service that brings callers to this port of the workload; nil where none selects it. Of
    /// several the first by namespace and name.
    package let servicePort: ServicePort?
    package var service: ServiceIdentity? { servicePort?.service }
}

/// Decides what becomes of what arrives at `port` of an attached workload. Pure.
package func decideInbound(_ snapshot: RuntimeSnapshot, workload: WorkloadID, port: UInt16) -> InboundDecision {
    InboundDecision(
        verdict: .forward, servicePort: snapshot.inbound[WorkloadPort(workload: workload, port: port)])
}
