namespace Memory;

/// <summary>A foreground alone, and beside one background with its regulator off and on.</summary>
/// <param name="Alone">MiB a second, before and after.</param>
/// <param name="Free">The part of that kept beside the background as it is.</param>
/// <param name="Regulated">The part kept beside it regulated.</param>
/// <param name="Background">The background's own MiB a second.</param>
/// <param name="BackgroundRegulated">The part of that it keeps when regulated.</param>
internal sealed record Trial(double Alone, double Free, double Regulated, double Background, double BackgroundRegulated);
