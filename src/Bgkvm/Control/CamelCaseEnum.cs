using System.Text.Json;
using System.Text.Json.Serialization;

namespace Bgkvm.Control;

/// <summary>Writes an enum as its camel case name and reads nothing else; numbers are refused.</summary>
internal sealed class CamelCaseEnum<T>() : JsonStringEnumConverter<T>(JsonNamingPolicy.CamelCase, allowIntegerValues: false)
    where T : struct, Enum;
