using System.Globalization;
using System.Text.Json;
using Cloning.Instances;

namespace Bgkvm.Config;

/// <summary>A value in a JSON file that a person has written, and where it stands: every complaint names file and JSON path.</summary>
/// <param name="File">The file.</param>
/// <param name="Path">The path in it, such as <c>$.disks[1].format</c>.</param>
/// <param name="Value">The value.</param>
internal readonly record struct JsonPlace(string File, string Path, JsonElement Value)
{
    /// <summary>Something is wrong here.</summary>
    /// <param name="complaint">What, and what would be right.</param>
    public InstanceException Wrong(string complaint) => new($"{File}: {Path}: {complaint}", ExitCode.Usage);

    /// <summary>The members of an object.</summary>
    /// <param name="known">Those that may be there; a member that is not there is not in the result either.</param>
    /// <exception cref="InstanceException">It is no object, or has another member, or one twice.</exception>
    public Dictionary<string, JsonPlace> Members(IReadOnlyList<string> known)
    {
        if (Value.ValueKind != JsonValueKind.Object) throw Wrong($"{Shown} is not an object; write {{ ... }}");
        Dictionary<string, JsonPlace> members = new(StringComparer.Ordinal);
        foreach (JsonProperty member in Value.EnumerateObject())
        {
            JsonPlace place = new(File, $"{Path}.{member.Name}", member.Value);
            if (!known.Contains(member.Name)) throw place.Wrong($"there is no such key; the keys here are {string.Join(", ", known)}");
            if (!members.TryAdd(member.Name, place)) throw place.Wrong("the key is there twice");
        }

        return members;
    }

    /// <summary>The elements of an array.</summary>
    /// <exception cref="InstanceException">It is no array, or has too few or too many elements.</exception>
    public IReadOnlyList<JsonPlace> Elements(int minimum, int maximum)
    {
        if (Value.ValueKind != JsonValueKind.Array) throw Wrong($"{Shown} is not an array; write [ ... ]");
        if (Value.GetArrayLength() < minimum || Value.GetArrayLength() > maximum)
            throw Wrong($"it has {Value.GetArrayLength()} elements; write {minimum} to {maximum}");
        JsonPlace here = this;
        return [.. Value.EnumerateArray().Select((element, i) => new JsonPlace(here.File, $"{here.Path}[{i}]", element))];
    }

    /// <summary>A string that is not empty.</summary>
    /// <param name="example">What would be right, for a complaint.</param>
    /// <exception cref="InstanceException">It is something else.</exception>
    public string Text(string example) => Value.ValueKind == JsonValueKind.String && Value.GetString() is { Length: > 0 } text
        ? text
        : throw Wrong($"{Shown} is not {(Value.ValueKind == JsonValueKind.String ? "allowed" : "a string")}; write {example}");

    /// <summary>One of a few words.</summary>
    /// <exception cref="InstanceException">It is something else.</exception>
    public string Choice(params ReadOnlySpan<string> words)
    {
        if (Value.ValueKind == JsonValueKind.String && words.Contains(Value.GetString()!)) return Value.GetString()!;
        throw Wrong($"{Shown} is not allowed; write \"{string.Join("\" or \"", words.ToArray())}\"");
    }

    /// <summary>True or false.</summary>
    /// <exception cref="InstanceException">It is something else.</exception>
    public bool Truth() => Value.ValueKind is JsonValueKind.True or JsonValueKind.False
        ? Value.GetBoolean()
        : throw Wrong($"{Shown} is neither true nor false");

    /// <summary>A whole number within bounds.</summary>
    /// <exception cref="InstanceException">It is something else.</exception>
    public int Number(int minimum, int maximum) =>
        Value.ValueKind == JsonValueKind.Number && Value.TryGetInt32(out int number) && number >= minimum && number <= maximum
            ? number
            : throw Wrong(string.Create(CultureInfo.InvariantCulture, $"{Shown} is not a whole number from {minimum} to {maximum}"));

    /// <summary>The value as it stands there, cut where it is long.</summary>
    private string Shown
    {
        get
        {
            const int longest = 40;
            string text = string.Join(' ', Value.GetRawText().Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
            return text.Length <= longest ? text : text[..longest] + "...";
        }
    }
}
