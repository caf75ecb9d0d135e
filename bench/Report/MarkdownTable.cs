using System.Text;

namespace Report;

/// <summary>A table in Markdown, padded so that it can be read as it is.</summary>
/// <param name="headers">The columns' names. The first column is text, the others are numbers.</param>
public sealed class MarkdownTable(params string[] headers)
{
    private readonly List<string[]> _rows = [];

    /// <summary>Adds a row.</summary>
    public void Add(params string[] cells)
    {
        if (cells.Length != headers.Length) throw new ArgumentException($"{cells.Length} cells for {headers.Length} columns", nameof(cells));
        _rows.Add(cells);
    }

    /// <inheritdoc/>
    public override string ToString()
    {
        int[] widths = [.. headers.Select((h, i) => Math.Max(3, _rows.Select(r => r[i].Length).Append(h.Length).Max()))];
        StringBuilder text = new();
        Line(headers);
        text.Append('|');
        for (int i = 0; i < widths.Length; i++) text.Append(i == 0 ? new string('-', widths[i] + 2) : new string('-', widths[i] + 1) + ":").Append('|');
        text.Append('\n');
        foreach (string[] row in _rows) Line(row);
        return text.ToString();

        void Line(string[] cells)
        {
            text.Append('|');
            for (int i = 0; i < cells.Length; i++)
                text.Append(' ').Append(i == 0 ? cells[i].PadRight(widths[i]) : cells[i].PadLeft(widths[i])).Append(" |");
            text.Append('\n');
        }
    }
}
