package import TrammelCore

/// What a response says of the addresses of one name, aliases followed as far as the message goes.
package enum DNSAddressAnswer: Hashable, Sendable {
    /// Distinct, at least one, in the order of the message. The time to live, in seconds, is the least of all records
    /// on the way.
    case addresses([IPAddress], ttl: UInt32)
    /// The name is another's alias, and of that one the message says nothing: it has to be asked for itself.
    case alias(DNSName, ttl: UInt32)
    /// The name exists and has no such address. The seconds for which that holds are nil where no SOA says so
    /// (RFC 2308 section 5).
    case noData(ttl: UInt32?)
    /// There is no such name, or none at the end of its aliases (RFC 2308 section 2.1).
    case nameError(ttl: UInt32?)
    case failure(Failure)

    package enum Failure: Hashable, Sendable {
        /// A response code other than NOERROR and NXDOMAIN.
        case code(DNSResponseCode)
        /// The server knows others who might know; it does not ask them itself.
        case referral
        /// The aliases lead back to one of themselves.
        case aliasLoop
        /// There are more aliases in a row than are followed.
        case tooManyAliases
    }
}

extension DNSMessage {
    /// Reads the answer to a question for `name`.
    ///
    /// Records that do not belong to the name or to one of its aliases are passed over, wherever they stand.
    /// - Parameters:
    ///   - type: A or AAAA.
    ///   - visited: the names that led here, this one not among them; those that are found on the way are added.
    ///   - limit: aliases in a row, over all messages, that are followed.
    package func addresses(
        of name: DNSName, _ type: DNSType, visited: inout [DNSName], limit: Int
    ) -> DNSAddressAnswer {
        guard responseCode == .noError || responseCode == .nameError else { return .failure(.code(responseCode)) }
        var aliases: [DNSName: (target: DNSName, ttl: UInt32)] = [:]
        for record in answers where record.class == .internet {
            if case .cname(let target) = record.data, aliases[record.name] == nil {
                aliases[record.name] = (target, record.ttl)
            }
        }
        var current = name
        var ttl = UInt32.max
        while let alias = aliases[current] {
            visited.append(current)
            if visited.contains(alias.target) { return .failure(.aliasLoop) }
            if visited.count > limit { return .failure(.tooManyAliases) }
            current = alias.target
            ttl = min(ttl, alias.ttl)
        }
        let denial = denialTTL.map { min($0, ttl) }
        if responseCode == .nameError { return .nameError(ttl: denial) }
        var found: [IPAddress] = []
        var seen: Set<IPAddress> = []
        for record in answers where record.class == .internet && record.type == type && record.name == current {
            guard case .address(let address) = record.data else { continue }
            ttl = min(ttl, record.ttl)
            if seen.insert(address).inserted { found.append(address) }
        }
        if !found.isEmpty { return .addresses(found, ttl: ttl) }
        if denial != nil { return .noData(ttl: denial) }
        if current != name { return .alias(current, ttl: ttl) }
        let refers = authorities.contains { $0.type == .ns } && !flags.isAuthoritative
        return refers ? .failure(.referral) : .noData(ttl: nil)
    }

    /// Seconds for which "no" holds: the smaller of the SOA's own time to live and its last field.
    private var denialTTL: UInt32? {
        for record in authorities {
            if case .soa(let authority) = record.data { return min(record.ttl, authority.minimum) }
        }
        return nil
    }
}

extension DNSQuestion {
    /// The bytes of a query that asks this of a recursive resolver.
    /// - Parameter udpSize: what the asker takes over UDP; nil asks without EDNS, as some old servers want it.
    package func query(id: UInt16, udpSize: UInt16? = DNSQuery.ownUDPSize) -> [UInt8] {
        var flags = DNSFlags()
        flags.recursionDesired = true
        var message = DNSMessage(id: id, flags: flags)
        message.questions = [self]
        message.edns = udpSize.map { EDNS(udpPayloadSize: $0) }
        return message.encoded()
    }
}
