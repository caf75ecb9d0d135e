using System.Globalization;
using System.Text;

namespace Report.Svg;

/// <summary>A drawing in SVG 1.1, element by element. Coordinates are pixels from the top left corner.</summary>
/// <param name="width">Its width.</param>
/// <param name="height">Its height.</param>
internal sealed class SvgDocument(int width, int height)
{
    private readonly StringBuilder _elements = new();

    internal void Line(double x1, double y1, double x2, double y2, string colour, double thickness = 1, string? dashes = null) =>
        Add($"<line x1='{x1:0.#}' y1='{y1:0.#}' x2='{x2:0.#}' y2='{y2:0.#}' stroke='{colour}' stroke-width='{thickness}'{Dashes(dashes)}/>");

    internal void Polyline(IEnumerable<(double X, double Y)> points, string colour, double thickness, string? dashes = null)
    {
        string list = string.Join(' ', points.Select(p => string.Create(CultureInfo.InvariantCulture, $"{p.X:0.#},{p.Y:0.#}")));
        Add($"<polyline points='{list}' fill='none' stroke='{colour}' stroke-width='{thickness}' stroke-linejoin='round'{Dashes(dashes)}/>");
    }

    internal void Dot(double x, double y, double radius, string colour) => Add($"<circle cx='{x:0.#}' cy='{y:0.#}' r='{radius}' fill='{colour}'/>");

    internal void Box(double x, double y, double boxWidth, double boxHeight, string colour) =>
        Add($"<rect x='{x:0.#}' y='{y:0.#}' width='{boxWidth:0.#}' height='{boxHeight:0.#}' fill='{colour}'/>");

    /// <summary>Text; the anchor is start, middle or end.</summary>
    internal void Text(double x, double y, string text, string anchor = "start", int size = 12, string colour = "#222", bool bold = false) =>
        Add($"<text x='{x:0.#}' y='{y:0.#}' text-anchor='{anchor}' font-size='{size}' fill='{colour}'{(bold ? " font-weight='bold'" : "")}>{Escape(text)}</text>");

    /// <inheritdoc/>
    public override string ToString() =>
        $"<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{height}' viewBox='0 0 {width} {height}' " +
        $"font-family='DejaVu Sans, Verdana, sans-serif'>\n<rect width='{width}' height='{height}' fill='white'/>\n{_elements}</svg>\n";

    private static string Dashes(string? dashes) => dashes is null ? "" : $" stroke-dasharray='{dashes}'";

    private static string Escape(string text) => text
        .Replace("&", "&amp;", StringComparison.Ordinal)
        .Replace("<", "&lt;", StringComparison.Ordinal)
        .Replace(">", "&gt;", StringComparison.Ordinal);

    private void Add(FormattableString element) => _elements.Append(element.ToString(CultureInfo.InvariantCulture)).Append('\n');
}
