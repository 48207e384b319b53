import TrammelConfig

/// Everything that a snapshot is put together from, and what of it is not what it was.
struct SnapshotPlan {
    let inventory: Inventory
    let rules: DestinationRules
    let services: ServiceBook
    let routes: RouteBook
    /// Of the VirtualServices that everybody sees.
    let claims: RouteClaims
    let claimsAreNew: Bool
    /// A service came, went or has other ports or addresses.
    let servicesAreNew: Bool
    /// The endpoints of a headless service have changed.
    let headlessAreNew: Bool
    /// A DestinationRule or a VirtualService came, went or changed.
    let visibilityIsNew: Bool
}
