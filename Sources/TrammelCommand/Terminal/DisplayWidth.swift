extension String {
    /// The columns that it takes on a terminal: two for a character of East Asian scripts or a picture, else one.
    var displayWidth: Int {
        // All but a few texts are ASCII, whose bytes are its columns.
        if utf8.allSatisfy({ (0x20..<0x7F).contains($0) }) { return utf8.count }
        return reduce(0) { $0 + $1.displayWidth }
    }

    /// At most `width` columns of it, the last of them `…` where something is left out.
    func cut(to width: Int) -> String {
        guard displayWidth > width else { return self }
        guard width > 0 else { return "" }
        var kept = ""
        var used = 0
        for character in self {
            used += character.displayWidth
            guard used < width else { break }
            kept.append(character)
        }
        return kept + "…"
    }

    /// As `cut`, of a line that may hold colours, which take no columns.
    func cutStyled(to width: Int) -> String {
        guard contains("\u{1B}") else { return cut(to: width) }
        var kept = ""
        var used = 0
        // What there is room for, should something have to be left out.
        var end: String?
        var isEscape = false
        for character in self {
            if isEscape || character == "\u{1B}" {
                isEscape = character == "\u{1B}" || character == "[" || !character.isLetter
                kept.append(character)
                continue
            }
            if end == nil, used + character.displayWidth > width - 1 { end = kept }
            used += character.displayWidth
            kept.append(character)
        }
        guard used > width, let end else { return self }
        return end + "…\u{1B}[0m"
    }

    /// Without what would move a terminal's cursor or change its colours: what comes from the traffic is shown, and must
    /// not be obeyed.
    var printable: String {
        guard unicodeScalars.contains(where: { Self.isControl($0) }) else { return self }
        var out = String.UnicodeScalarView()
        for scalar in unicodeScalars { out.append(Self.isControl(scalar) ? " " : scalar) }
        return String(out)
    }

    /// C0, DEL and C1.
    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        scalar.value < 0x20 || (0x7F..<0xA0).contains(scalar.value)
    }
}

extension Character {
    fileprivate var displayWidth: Int {
        guard let scalar = unicodeScalars.first else { return 0 }
        return switch scalar.value {
        case 0x1100...0x115F, 0x2E80...0xA4CF, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F, 0xFF00...0xFF60,
            0xFFE0...0xFFE6, 0x1F300...0x1FAFF, 0x20000...0x3FFFD:
            2
        default: 1
        }
    }
}
