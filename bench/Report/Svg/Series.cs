namespace Report.Svg;

/// <summary>One line of a chart.</summary>
/// <param name="Label">Stands at its right end.</param>
/// <param name="Colour">As SVG writes it.</param>
/// <param name="Points">Memory in MiB and microseconds, by memory.</param>
/// <param name="Dashed">For what is less than a main result.</param>
public sealed record Series(string Label, string Colour, IReadOnlyList<(double MemoryMiB, double Micros)> Points, bool Dashed = false);
