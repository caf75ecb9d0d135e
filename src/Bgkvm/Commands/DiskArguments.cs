using System.CommandLine;
using System.CommandLine.Parsing;

namespace Bgkvm.Commands;

/// <summary>What the <c>disk</c> commands take.</summary>
internal static class DiskArguments
{
    /// <summary>An argument that names an image.</summary>
    public static Argument<ImageArgument> Image(string name, string description) => new(name)
    {
        Description = description,
        HelpName = ImageArgument.Form,
        CustomParser = result => ParseImage(result, name),
    };

    /// <summary>Reads an image's name.</summary>
    public static ImageArgument? ParseImage(ArgumentResult result, string what)
    {
        if (ImageArgument.Parse(result.Tokens[0].Value, out string? error) is { } image) return image;
        result.AddError($"{what}: {error}");
        return null;
    }

    /// <summary>Reads a size.</summary>
    public static long ParseSize(ArgumentResult result, string what)
    {
        if (!ByteSize.TryParse(result.Tokens[0].Value, out long bytes))
            result.AddError($"{what}: '{result.Tokens[0].Value}' is not a size; write 64K, 512M, 10G or bytes");
        return bytes;
    }
}
