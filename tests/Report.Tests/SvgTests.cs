using System.Globalization;
using System.Xml.Linq;
using Report.Svg;
using Xunit;

namespace Report.Tests;

/// <summary>The charts are well-formed, to scale, and legible.</summary>
public sealed class SvgTests
{
    private static readonly XNamespace s_svg = "http://www.w3.org/2000/svg";

    [Fact]
    public void A_scale_is_logarithmic_between_powers_of_ten()
    {
        Scale scale = Scale.Decades(200, 90_000, 400, 100);
        Assert.Equal([100, 1000, 10_000, 100_000], scale.Ticks().Select(t => Math.Round(t)));
        Assert.Equal(400, scale[100], 3);
        Assert.Equal(300, scale[1000], 3);
        Assert.Equal(100, scale[100_000], 3);
    }

    [Fact]
    public void What_does_not_grow_is_level_and_what_copies_rises()
    {
        XElement svg = XElement.Parse(MemoryChart.Draw("A & B", "<today>",
        [
            new Series("flat", "red", [(128, 300), (8192, 300)]),
            new Series("copy", "blue", [(128, 80_000), (8192, 5_000_000)]),
            new Series("nothing", "green", []),
        ]));
        Assert.Contains(svg.Elements(s_svg + "text"), t => t.Value == "A & B");
        (double X, double Y)[] flat = Points(svg, "red"), copy = Points(svg, "blue");
        Assert.Equal(flat[0].Y, flat[1].Y);
        Assert.True(copy[1].Y < copy[0].Y && copy[0].Y < flat[0].Y, "higher is longer");
        Assert.DoesNotContain(svg.Elements(s_svg + "text"), t => t.Value.Contains("nothing", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(new double[] { 100, 101, 102 }, new double[] { 100, 116, 132 })]
    [InlineData(new double[] { 100, 190, 195 }, new double[] { 100, 184, 200 })]
    [InlineData(new double[] { 10, 20, 150 }, new double[] { 50, 66, 150 })]
    public void Labels_that_would_overlap_are_moved_apart(double[] wanted, double[] places) =>
        Assert.Equal(places, MemoryChart.Spread(wanted, 16, 50, 200));

    [Fact]
    public void A_timeline_has_every_phase_every_answer_and_no_text_outside()
    {
        BackgroundRun run = new(300, 0, 140, 20_000, 12_000, 30_000, 30_000, 9000,
            [new("preparing", 4000), new("forking", 683_000), new("old OS shuts down", 888_000), new("switching", 19_900_000), new("cleaning up", 19_990_000)],
            [.. Enumerable.Range(0, 2000).Select(n => n * 10_000L)]);
        XElement svg = XElement.Parse(TimelineChart.Draw("A reboot", run));
        string[] texts = [.. svg.Elements(s_svg + "text").Select(t => t.Value)];
        Assert.All(run.Phases, p => Assert.Contains(p.Name, texts));
        Assert.Equal(1999, svg.Elements(s_svg + "circle").Count());
        double width = Number(svg, "width");
        Assert.All(svg.Elements(s_svg + "text"), t => Assert.InRange(Number(t, "x"), 0, width));
        // Names that lie in one row do not run into each other; a letter is some 7 pixels wide.
        var names = svg.Elements(s_svg + "text").Where(t => run.Phases.Any(p => p.Name == t.Value))
            .Select(t => (X: Number(t, "x"), Y: Number(t, "y"), t.Value.Length)).ToArray();
        Assert.All(names, one => Assert.DoesNotContain(names, other => other != one && other.Y == one.Y && other.X >= one.X && other.X < one.X + (one.Length * 6.5)));
    }

    private static (double X, double Y)[] Points(XElement svg, string colour) =>
        [.. svg.Elements(s_svg + "polyline").Single(p => (string?)p.Attribute("stroke") == colour).Attribute("points")!.Value.Split(' ')
            .Select(p => p.Split(',')).Select(p => (Parse(p[0]), Parse(p[1])))];

    private static double Number(XElement element, string attribute) => Parse(element.Attribute(attribute)!.Value);
    private static double Parse(string text) => double.Parse(text, CultureInfo.InvariantCulture);
}
