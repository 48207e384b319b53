package import TrammelConfig

/// Something in the resources that is valid and does not do what its author will have meant.
package struct CompileWarning: Sendable, Equatable, CustomStringConvertible {
    package enum Code: String, Sendable {
        /// A host that is no service, a subset that no DestinationRule has, a port that the service has not.
        case danglingReference
        /// Two resources claim the same host, address or subset; one of them is passed over.
        case conflict
        /// A condition or an edit that is not looked at or can never hold.
        case withoutEffect
    }

    package let code: Code
    package let resource: ResourceKey
    package let location: SourceLocation
    /// What was found, what would do, and what happens meanwhile.
    package let message: String

    init(_ code: Code, _ resource: ResourceKey, _ location: SourceLocation, _ message: String) {
        self.code = code
        self.resource = resource
        self.location = location
        self.message = message
    }

    /// `canary.yaml:12: VirtualService default/reviews: …`.
    package var description: String { "\(location): \(resource): \(message)" }
}
